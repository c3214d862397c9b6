// The explorer's page. Its state is the address: whatever is clicked changes the hash, and the hash is shown.

import { NAMES, addedRow, column, describe, explanation, leftOut, make, missing, nameOf, notLoaded, picture, plural, ruleRows, showElsewhere, skeleton, storedRow } from "./view.js";

/**
 * @typedef {{item_id: string, event: string, value: number|null}} Event
 * @typedef {{user: string|null, removed: string[], added: Event[], k: number, seen: boolean,
 *   categories: string[], min: string, max: string}} State
 */

/** Stored items before "All": a phone shall reach the lists soon. */
const STORED_SHOWN = matchMedia("(max-width: 760px)").matches ? 5 : 12;
const $ = (id) => document.getElementById(id);

/** What the package holds that is shown. */
let shop = null;
let latest = 0;
let allStored = false;
/** Whether any item that was seen has a picture: then all have room for one. */
let pictures = false;
/** Whether somebody on a phone has said which list to show. */
let chosen = false;
/** The rules of the shop. @type {any[]} */
let rules = [];
/** @type {Object<string, string>} what each column shows, as text: one that stays the same keeps what is open in it */
const shown = {};

// --- the state -----------------------------------------------------------------------------------------

/** @returns {State} */
function read() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const k = Number(hash.get("k") ?? 10);
  return {
    user: hash.get("user"),
    removed: hash.getAll("minus"),
    added: hash.getAll("plus").map((text) => {
      const [event, value, ...id] = text.split(":");
      return { item_id: id.join(":"), event, value: value === "" ? null : Number(value) };
    }),
    k: Number.isInteger(k) && k >= 1 && k <= 100 ? k : 10,
    seen: hash.get("seen") !== "shown",
    categories: hash.getAll("category"),
    min: hash.get("min") ?? "",
    max: hash.get("max") ?? "",
  };
}

/** @param {State} state */
function written(state) {
  const hash = new URLSearchParams();
  if (state.user === null) hash.set("new", "");
  else hash.set("user", state.user);
  state.removed.forEach((id) => hash.append("minus", id));
  state.added.forEach((one) => hash.append("plus", `${one.event}:${one.value ?? ""}:${one.item_id}`));
  if (state.k !== 10) hash.set("k", String(state.k));
  if (!state.seen) hash.set("seen", "shown");
  state.categories.forEach((category) => hash.append("category", category));
  if (state.min !== "") hash.set("min", state.min);
  if (state.max !== "") hash.set("max", state.max);
  return `#${hash}`;
}

/** Change the state; the page follows. @param {Partial<State>} changes */
function change(changes) {
  const hash = written({ ...read(), ...changes });
  if (hash === location.hash) refresh();
  else location.hash = hash;
}

/** @param {State} state */
function question(state) {
  return {
    ...(state.user === null ? {} : { user_id: state.user }),
    history: state.added, removed: state.removed, k: state.k, exclude_seen: state.seen,
    ...(state.categories.length ? { categories: state.categories } : {}),
    ...(state.min === "" ? {} : { min_price: Number(state.min) }),
    ...(state.max === "" ? {} : { max_price: Number(state.max) }),
  };
}

// --- asking --------------------------------------------------------------------------------------------

/** Ask the server; throws an Error with a text for people. */
async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(`explorer/api/${path}`, body === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
  } catch {
    throw new Error("The server does not answer. See whether recgan serve still runs.");
  }
  const content = await answer.json().catch(() => null);
  if (answer.ok && content !== null) return content;
  const detail = content?.detail ?? `The server answers ${answer.status}.`;
  throw new Error(Array.isArray(detail)
    ? detail.map((fault) => [fault.loc.slice(1).join(" "), fault.msg].filter(Boolean).join(": ")).join("; ") : detail);
}

function problem(error) {
  const text = error === null ? "" : error.message;
  $("problem").hidden = error === null;
  // Written only when it changes: a screen reader reads it out each time.
  if ($("problem-text").textContent !== text) $("problem-text").textContent = text;
}

/** Do something that asks the server, and say what went wrong. */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    problem(error);
  }
}

// --- showing -------------------------------------------------------------------------------------------

async function refresh() {
  const turn = ++latest;
  const state = read();
  showControls(state);
  const columns = $("columns");
  columns.classList.add("busy");
  columns.setAttribute("aria-busy", "true");
  $("status").textContent = `Loading ${whose(state)} lists …`;
  try {
    if (shop === null) await showShop();
    const answer = await ask("lists", question(state));
    if (answer.model.version !== shop.model.version) await showShop(); // swapped meanwhile
    if (turn !== latest) return;
    problem(null);
    rules = answer.rules;
    keepingFocus(() => {
      showRules();
      showLeftOut(state, answer);
      showHistory(state, answer);
      showLists(state, answer);
    });
    if (answer.challenger.state === "loading") setTimeout(() => turn === latest && refresh(), 1000);
  } catch (error) {
    if (turn === latest) {
      problem(error);
      $("status").textContent = `Could not load ${whose(state)} lists.`;
      for (const name of Object.keys(NAMES)) if (shown[name] === undefined) $(name).replaceChildren(...notLoaded(name));
    }
  } finally {
    if (turn === latest) {
      columns.classList.remove("busy");
      columns.removeAttribute("aria-busy");
    }
  }
}

/** @param {State} state */
const whose = (state) => (state.user === null ? "a new shopper’s" : `${state.user}’s`);

/** Elements are made anew; who had the focus on one gets its successor, else the history's heading. */
function keepingFocus(show) {
  const key = document.activeElement?.dataset.key;
  show();
  if (key === undefined || document.activeElement?.dataset.key === key) return;
  const successor = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  (successor ?? $("history-title")).focus({ preventScroll: true });
}

async function showShop() {
  shop = await ask("state");
  document.title = `Explorer: ${shop.model.name}`;
  const shoppers = shop.shoppers === null ? "no stored shoppers" : plural(shop.shoppers, "shopper");
  $("about").textContent = `${shop.model.name} · ${shoppers} · ${plural(shop.items, "item")}`;
  $("kind").replaceChildren(...shop.kinds.map((kind) => make("option", { value: kind.event },
    shop.binary ? kind.event : `${kind.event} (counts ${kind.weight})`)));
  const kinds = shop.kinds.map((kind) => kind.event);
  $("kind").value = kinds.includes("purchase") ? "purchase" : kinds[0];
  showStars();
  $("prices").hidden = !shop.prices;
  $("categories").hidden = shop.categories.length === 0;
  $("choices").replaceChildren(
    ...shop.categories.map((category) => make("label", {}, make("input", { type: "checkbox", value: category }), category)),
    shop.categories_left_out ? make("p", { class: "soft" }, `and ${plural(shop.categories_left_out, "smaller one")}`) : "");
  $("left-out").hidden = shop.left_out === 0;
  $("left-out").textContent = `Left out (${shop.left_out.toLocaleString("en")})`;
  showControls(read());
}

/** @param {State} state */
function showLeftOut(state, answer) {
  const text = answer.left_out === null ? "" : JSON.stringify([state.user, answer.model, answer.user_known, answer.left_out]);
  if (shown.leftOut === text) return; // what is open in it stays open
  shown.leftOut = text;
  $("why-left-out").hidden = text === "";
  $("why-left-out").replaceChildren(...(text === "" ? [] : leftOut(answer, state.user,
    (user) => change({ user, removed: [], added: [] }))).filter(Boolean));
}

function showRules() {
  const text = JSON.stringify(rules);
  if (shown.rules === text) return;
  shown.rules = text;
  $("rules").hidden = rules.length === 0;
  $("rules-count").textContent = plural(rules.length, "rule");
  $("rules-list").replaceChildren(...ruleRows(rules));
}

/** @param {State} state */
function showControls(state) {
  $("k").value = String(state.k);
  $("seen").checked = state.seen;
  $("min").value = state.min;
  $("max").value = state.max;
  for (const box of $("choices").querySelectorAll("input")) box.checked = state.categories.includes(box.value);
  const [first, ...others] = state.categories;
  $("categories").firstElementChild.textContent =
    first === undefined ? "All categories" : others.length ? `${first} and ${others.length} more` : first;
}

function showStars() {
  $("stars").hidden = $("kind").value !== "rating";
}

/** @param {State} state */
function showHistory(state, answer) {
  const total = answer.stored.length + answer.stored_left_out;
  const counts = !shop.binary;
  $("history-title").textContent = state.user === null ? "History of a new shopper" : `History of shopper ${state.user}`;
  pictures ||= [answer.stored, ...Object.keys(NAMES).map((name) => answer[name].items)].flat().some((item) => item.image_url);
  const rated = shop.min_rating === null ? "" : `, ratings from ${plural(shop.min_rating, "star")}`;
  $("history-note").textContent = answer.user_known === false
    ? `Version ${answer.model.version} knows no shopper ${state.user}: the lists are those of someone new.`
    : state.user === null ? "Empty until you add items, here or from a list."
    : `${plural(total, "stored item")}${shop.binary ? `; each counts 1${rated}` : `, the most confident first${rated}`}.`;
  $("added").replaceChildren(...answer.added.map((added, number) => addedRow(added, number, counts, pictures,
    () => change({ added: state.added.filter((_, other) => other !== number) }))));
  $("stored").classList.remove("waiting");
  const limit = allStored ? answer.stored.length : STORED_SHOWN;
  // One that was taken out stays in sight, wherever it stands.
  $("stored").replaceChildren(...answer.stored.filter((item, place) => place < limit || item.removed)
    .map((item) => storedRow(item, counts, pictures, () => change({
      removed: item.removed ? state.removed.filter((id) => id !== item.item_id) : [...state.removed, item.item_id],
    }))));
  $("more").hidden = answer.stored.length <= STORED_SHOWN;
  $("more").textContent = allStored ? "Fewer"
    : answer.stored_left_out ? `The first ${answer.stored.length.toLocaleString("en")}` : `All ${plural(total, "item")}`;
  $("reset").disabled = !answer.edited;
  $("reset").textContent = state.user === null ? "Back to an empty history" : "Back to the stored history";
}

/** @param {State} state */
function showLists(state, answer) {
  const notes = Object.keys(NAMES).map((name) => [name, missing(name, answer)]);
  for (const [name, note] of notes) {
    $(name).hidden = note !== null;
    document.querySelector(`[data-show=${name}]`).hidden = note !== null;
  }
  for (const part of document.querySelectorAll("[data-of]")) part.hidden = $(part.dataset.of).hidden;
  $("what").textContent = `What shoppers ${$("champion").hidden ? "would be" : "are"} shown`;
  const said = notes.filter(([, note]) => note !== null).map(([, note]) => note);
  if ($("notes").textContent !== said.join("")) $("notes").replaceChildren(...said.map((note) => make("li", {}, note)));
  for (const name of Object.keys(NAMES)) {
    if ($(name).hidden) { delete shown[name]; $(name).replaceChildren(); continue; }
    const text = JSON.stringify([answer[name], answer.verdict, answer.rules, question(state)]);
    if (shown[name] === text) continue;
    shown[name] = text;
    const reading = $(name).querySelector("header details")?.open;
    $(name).replaceChildren(...column(name, answer, state.k, pictures, { why, add }));
    if (reading) $(name).querySelector("header details")?.setAttribute("open", "");
  }
  for (const name of Object.keys(NAMES)) showElsewhere(name, answer);
  const first = answer.champion.state === "ready" ? "champion" : "challenger";
  if (!chosen || $($("columns").dataset.shown).hidden) choose(first);
  const items = answer[first].items;
  const moved = items.filter((item, place) => answer.edited && item.before !== place + 1).length;
  $("status").textContent = `${plural(items.length, "item")} for ${state.user ?? "a new shopper"}${answer.edited ? `, ${moved} moved or new` : ""}.`;
}

/** Open or close the explanation of one item. */
function why(name, item, slot, button) {
  const open = slot.hidden;
  slot.hidden = !open;
  button.setAttribute("aria-expanded", String(open));
  if (!open || slot.childElementCount) return;
  slot.replaceChildren(make("p", { class: "soft" }, "Trying the items of the history one by one …"));
  ask("why", { ...question(read()), column: name, item_id: item.item_id }).then(
    (found) => slot.replaceChildren(...explanation(found, item, rules)),
    (error) => slot.replaceChildren(make("p", {}, error.message)),
  );
}

function add(item) {
  const event = $("kind").value;
  const value = event === "rating" && $("value").value !== "" ? Number($("value").value) : null;
  change({ added: [...read().added, { item_id: item.item_id, event, value }] });
}

/** The kind of a rule, and its name where that says more. */
function kindOf(name) {
  const rule = rules.find((one) => one.name === name);
  return rule === undefined || rule.kind === name ? name : `${rule.kind}, ${name}`;
}

// --- searching -----------------------------------------------------------------------------------------

/**
 * Search while somebody types; arrows move through what is found, Escape closes it.
 * @param {HTMLInputElement} input
 * @param {HTMLElement} list
 * @param {string} path
 * @param {(found: any) => (Node|string)[]} contents of a row
 * @param {(found: any) => void} choose
 * @param {() => Object<string, string>} [besides] more of the question
 * @returns {() => Promise<void>} the search
 */
function searching(input, list, path, contents, choose, besides = () => ({})) {
  let turn = 0;
  const close = () => { turn++; list.hidden = true; };
  const search = () => attempt(async () => {
    const own = ++turn;
    const found = await ask(`${path}?${new URLSearchParams({ q: input.value, limit: "10", ...besides() })}`);
    if (own !== turn) return;
    problem(null);
    list.replaceChildren(...found.map((one) => make("li", {}, make("button", { type: "button",
      click: (event) => {
        close();
        input.value = "";
        if (event.detail === 0) input.focus(); // by keyboard; a tap shall not bring up a phone's
        choose(one);
      } }, ...contents(one)))));
    if (!found.length) list.append(make("li", { class: "soft" }, "Nothing found."));
    list.hidden = false;
    list.scrollIntoView({ block: "nearest" }); // a phone's keyboard covers what is below the field
    $("said").textContent = found.length ? `${found.length} found; the arrow keys go through them` : "Nothing found";
  });
  input.addEventListener("input", search);
  input.addEventListener("click", search);
  input.parentElement.addEventListener("keydown", (event) => {
    const buttons = [...list.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    if (event.key === "Escape") { close(); input.focus(); }
    else if (event.key === "Enter" && at < 0 && input.value.trim() !== "") search().then(() => list.querySelector("button")?.click());
    else if (event.key === "ArrowDown" && list.hidden) search();
    else if (event.key === "ArrowDown") buttons[Math.min(at + 1, buttons.length - 1)]?.focus();
    else if (event.key === "ArrowUp") (buttons[at - 1] ?? input).focus();
    else return;
    event.preventDefault();
  });
  input.parentElement.addEventListener("focusout", (event) => {
    if (!input.parentElement.contains(event.relatedTarget)) close();
  });
  return search;
}

/** Whether only accounts are searched that are left out of training. */
const onlyLeftOut = () => $("left-out").getAttribute("aria-pressed") === "true";
const searchShoppers = searching($("shopper"), $("shoppers"), "shoppers",
  (one) => [make("span", {}, one.user_id), one.left_out && make("span", { class: "badge" }, "left out"),
    one.items > 0 && make("span", { class: "soft" }, plural(one.items, "item"))].filter(Boolean),
  (one) => change({ user: one.user_id, removed: [], added: [] }),
  () => (onlyLeftOut() ? { left_out: "true" } : {}));
$("left-out").addEventListener("click", () => {
  $("left-out").setAttribute("aria-pressed", String(!onlyLeftOut()));
  $("shopper").focus();
  searchShoppers();
});
searching($("item"), $("items"), "items",
  (one) => [picture(one, pictures), make("span", {}, nameOf(one), make("span", { class: "meta" }, describe(one)),
    one.left_out && make("span", { class: "meta out" }, `left out: ${kindOf(one.left_out)}`))], add);

// --- controls ------------------------------------------------------------------------------------------

const random = () => attempt(async () => {
  change({ user: (await ask("shoppers/random")).user_id, removed: [], added: [] });
});
$("random").addEventListener("click", random);
$("new").addEventListener("click", () => change({ user: null, removed: [], added: [] }));
$("reset").addEventListener("click", () => change({ removed: [], added: [] }));
$("more").addEventListener("click", () => { allStored = !allStored; refresh(); });
$("kind").addEventListener("change", showStars);
for (const button of document.querySelectorAll("[data-to]")) button.addEventListener("click", () => { $(button.dataset.to).focus(); });
$("again").addEventListener("click", refresh);
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("filters").addEventListener("change", () => change({
  k: $("k").validity.valid && $("k").value !== "" ? Number($("k").value) : read().k,
  seen: $("seen").checked,
  categories: [...$("choices").querySelectorAll("input:checked")].map((box) => box.value),
  min: $("min").value,
  max: $("max").value,
}));
document.addEventListener("click", (event) => {
  if (!$("categories").contains(event.target)) $("categories").open = false;
});

/** Choose the list that a phone shows. @param {string} name */
function choose(name) {
  $("columns").dataset.shown = name;
  for (const button of document.querySelectorAll("[data-show]")) button.setAttribute("aria-pressed", String(button.dataset.show === name));
}
for (const button of document.querySelectorAll("[data-show]")) button.addEventListener("click", () => { chosen = true; choose(button.dataset.show); });

/** Point at the same item in all lists. */
for (const kind of ["pointerover", "pointerleave"]) {
  $("columns").addEventListener(kind, (event) => {
    const id = kind === "pointerleave" ? undefined : event.target.closest("[data-item]")?.dataset.item;
    for (const row of $("columns").querySelectorAll("[data-item]")) row.classList.toggle("same", row.dataset.item === id);
  });
}
window.addEventListener("hashchange", () => { refresh(); });

for (const name of Object.keys(NAMES)) $(name).replaceChildren(...skeleton(name, read().k));
if (location.hash.length > 1) {
  refresh();
} else {
  // A first look shows somebody; a package without shoppers, someone new.
  const anyone = await ask("shoppers/random").catch(() => null);
  history.replaceState(null, "", written({ ...read(), user: anyone?.user_id ?? null }));
  refresh();
}
