// The page of the experiment: it is made by the server, and asks for a change.

const $ = (id) => document.getElementById(id);

/** Ask for a change; show the page anew where it was made, else say why not. */
async function ask(path, body) {
  const token = $("token").value;
  const buttons = [...document.querySelectorAll("button")];
  buttons.forEach((button) => { button.disabled = true; });
  $("said").textContent = "Asking …";
  $("problem").hidden = true;
  try {
    const answer = await fetch(`api/experiment/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) },
      body: JSON.stringify(body),
    });
    if (answer.ok) {
      location.reload();
      return;
    }
    const { detail } = await answer.json();
    throw new Error(Array.isArray(detail) ? detail.map((one) => one.msg).join("; ") : detail);
  } catch (error) {
    $("problem-text").textContent = error.message;
    $("problem").hidden = false;
    $("said").textContent = "";
    buttons.forEach((button) => { button.disabled = false; });
  }
}

function on(id, body) {
  $(id)?.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(id, body());
  });
}

on("start", () => ({
  ...($("version").value ? { version: $("version").value } : {}),
  share: Number($("share").value), design: $("design").value,
}));
on("stop", () => ({ reason: $("reason").value }));
on("look", () => ({}));
$("who").addEventListener("submit", (event) => event.preventDefault());
