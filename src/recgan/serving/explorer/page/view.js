// Elements from answers. Every text goes in as a text node, so a title is never read as HTML.

export const NAMES = { champion: "Live now", challenger: "Candidate", popularity: "Best sellers" };

/**
 * Make an element.
 * @param {string} tag
 * @param {Object<string, any>} [properties] attributes; `class`, and functions as listeners: `click: …`
 * @param {...(Node|string|null|undefined|false)} children
 * @returns {HTMLElement}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** @param {number} count @param {string} one @param {string} [many] */
export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

export const nameOf = (item) => item.title ?? item.item_id;

/** What the shop says of an item, on one line; never empty, so that every row has the same height. */
export function describe(item, ...more) {
  const price = item.price === null ? null
    : item.price.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  return [item.new ? "new product" : null, item.category, price, ...more].filter((part) => part !== null && part !== undefined).join("\u00a0· ") || "\u00a0";
}

/**
 * A product's picture, which says no more than its title; an empty square where it has none.
 * @param {any} item
 * @param {boolean} pictures whether any item of the page has one; without, there are no squares either
 */
export function picture(item, pictures) {
  if (!pictures) return null;
  const blank = () => make("span", { class: "picture", "aria-hidden": "true" });
  // The server lets through no other addresses; nothing here depends on it.
  if (!/^(https:\/\/|data:image\/)/.test(item.image_url ?? "")) return blank();
  return make("img", { class: "picture", alt: "", width: "44", height: "44", loading: "lazy", decoding: "async",
    referrerpolicy: "no-referrer", src: item.image_url, error: (event) => event.currentTarget.replaceWith(blank()) });
}

function label(item, ...more) {
  return make("span", { class: "name" },
    make("span", { class: "title", title: `${nameOf(item)}, id ${item.item_id}` }, nameOf(item)), make("span", { class: "meta" }, ...more));
}

/** @param {number} value */
const confidence = (value) => value.toLocaleString("en", { maximumSignificantDigits: 3 });

// --- the history ---------------------------------------------------------------------------------------

/** One stored item with a button that takes it out or puts it back. */
export function storedRow(item, counts, pictures, toggle) {
  const word = item.removed ? "Put back" : "Remove";
  return make("li", { class: item.removed ? "removed" : "" },
    picture(item, pictures),
    label(item, describe(item, counts ? `counts ${confidence(item.confidence)}` : null)),
    make("button", { type: "button", class: "small", "aria-label": `${word} ${nameOf(item)}`,
      "data-key": `stored ${item.item_id}`, click: toggle }, word));
}

/** One added event with a button that takes it out. */
export function addedRow(added, number, counts, pictures, drop) {
  const item = added.item ?? { item_id: added.item_id, title: null, category: null, price: null };
  const event = added.event === "rating" && added.value !== null ? `${plural(added.value, "star")}` : added.event;
  const worth = added.item === null ? "not known to the model, has no effect"
    : added.worth === 0 ? "does not count, but is seen" : counts ? `counts ${confidence(added.worth)}` : null;
  return make("li", {},
    picture(item, pictures),
    label(item, make("b", {}, "added"), ` · ${[event, worth].filter(Boolean).join(" · ")}`),
    make("button", { type: "button", class: "small", "aria-label": `Remove the added ${nameOf(item)}`,
      "data-key": `added ${number}`, click: drop }, "Remove"));
}

// --- left out of training --------------------------------------------------------------------------------

/** Members of a group before "All". */
const MEMBERS_SHOWN = 12;

const PHONE = matchMedia("(max-width: 760px)");

const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

/** From the first to the last day of a group, in UTC. */
const days = (group) => (group.first === null ? "" : `, ${DAY.formatRange(new Date(group.first), new Date(group.last))}`);

/**
 * Why a shopper is left out of training, and with whom.
 * @param {any} answer of /explorer/api/lists
 * @param {string} user
 * @param {(user: string) => void} choose
 */
export function leftOut(answer, user, choose) {
  const { reasons, group } = answer.left_out;
  const version = `version ${answer.model.version}`;
  const parts = [
    make("h3", { id: "left-out-title" }, make("span", { class: "badge" }, "left out of training"), " ", make("span", { class: "id" }, user)),
    make("ul", {}, ...reasons.map((reason) => make("li", {}, reason))),
    make("p", { class: "meta" }, answer.user_known
      ? `${version[0].toUpperCase()}${version.slice(1)} was trained before that, and still holds this history.`
      : `${version[0].toUpperCase()}${version.slice(1)} was not trained on this account.`),
  ];
  if (group !== null) {
    const members = group.others.map((other, place) => make("li", { hidden: place >= MEMBERS_SHOWN },
      make("button", { type: "button", class: "small", "data-key": `member ${other}`, click: () => choose(other) }, other)));
    const named = 1 + group.others.length < group.accounts ? ` The first ${group.others.length} are named.` : "";
    parts.push(make("details", { open: !PHONE.matches },
      make("summary", {}, `Its group: ${plural(group.accounts, "account")}${days(group)}`),
      make("p", {}, `What they share:`),
      make("ul", { class: "shared" }, ...group.products.map((item) => make("li", {},
        make("b", {}, nameOf(item)), make("span", { class: "meta" }, describe(item, nameOf(item) === item.item_id ? null : `id ${item.item_id}`))))),
      members.length > 0 && make("p", {}, `The other accounts:${named}`),
      members.length > 0 && make("ul", { class: "members" }, ...members),
      members.length > MEMBERS_SHOWN && make("button", { type: "button", class: "small", click: (event) => {
        members.forEach((member) => { member.hidden = false; });
        members[MEMBERS_SHOWN].firstElementChild.focus();
        event.currentTarget.remove();
      } }, `All ${members.length.toLocaleString("en")}`)));
  }
  parts.push(make("p", { class: "meta" }, "Is this a real shopper? Put the id into ", make("code", {}, "screen.cleared"), " of params.yaml; the next training takes it in."));
  return parts;
}

// --- the rules of the shop -------------------------------------------------------------------------------

const INSTANT = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "UTC", timeZoneName: "short" });

/** Every rule, in words; those that do not hold now say so. @param {any[]} rules of /explorer/api/lists */
export function ruleRows(rules) {
  return rules.map((rule) => {
    const times = [rule.since && `from ${INSTANT.format(new Date(rule.since))}`, rule.until && `until ${INSTANT.format(new Date(rule.until))}`];
    const facts = [rule.kind, ...times, rule.holds ? null : "does not hold now",
      rule.unknown_items ? `${plural(rule.unknown_items, "item")} not known here` : null];
    return make("li", { class: rule.holds ? "" : "soft" }, make("b", {}, rule.name), ` ${rule.does}`,
      make("span", { class: "meta" }, facts.filter(Boolean).join(" · ")));
  });
}

/** What a rule did to an item, as a mark beside it. */
function ruleMark(name, rules) {
  const rule = rules.find((one) => one.name === name);
  return name && make("span", { class: "rule", title: rule ? rule.does : "" }, make("span", { class: "hidden" }, "by the rule "), name);
}

// --- a list --------------------------------------------------------------------------------------------

/** Rows of the height of real ones, so that nothing moves when these come. */
export function skeleton(name, k) {
  const rows = Array.from({ length: k }, () => make("li", { class: "skeleton", "aria-hidden": "true" },
    make("div", { class: "line" }, make("span"), make("span", { class: "picture" }),
      make("div", { class: "words" }, make("div", { class: "title" }), make("div", { class: "meta" })))));
  return [heading(name, { version: null }, "Loading …"), make("ol", { class: "items" }, ...rows)];
}

/** A list that could not be had. */
export const notLoaded = (name) => [heading(name, { version: null }, "not loaded")];

function heading(name, column, ...note) {
  const version = column.version === null ? "" : name === "popularity" ? `in version ${column.version}` : `version ${column.version}`;
  return make("header", {},
    make("h3", { id: `${name}-title` }, NAMES[name], make("small", {}, version)),
    make("div", { class: "meta" }, ...note));
}

function verdictOf(verdict) {
  if (verdict === null || verdict.decision === null) return ["not judged by the gate yet"];
  if (verdict.decision === "promote") return ["the gate would promote it"];
  const reasons = verdict.reasons.filter((reason) => reason.startsWith("✗")).map((reason) => make("li", {}, reason));
  return [make("details", {}, make("summary", {}, `refused by the gate: ${plural(reasons.length, "reason")}`),
    make("ul", { class: "reasons" }, ...reasons))];
}

function noteOf(name, column, answer) {
  if (column.fallback) return [make("b", {}, "The model failed: popularity stands in.")];
  if (name === "popularity") return ["what most shoppers have"];
  if (name === "challenger" && column.state !== "none") return verdictOf(answer.verdict);
  return [name === "champion" ? "what shoppers are shown" : "\u00a0"];
}

/** What of the request has no effect on a list. */
function remarks(name, column, answer) {
  const found = [];
  const stored = answer.stored.length + answer.stored_left_out;
  if (name === "challenger" && column.stored !== stored) {
    found.push(`Its package stores ${plural(column.stored, "item")} of this shopper, the live one’s ${stored.toLocaleString("en")}.`);
  }
  if (name !== "popularity" && column.unknown_items.length) {
    found.push(`Does not know ${plural(column.unknown_items.length, "item")} of the history.`);
  }
  if (column.unknown_categories.length) found.push(`No item of: ${column.unknown_categories.join(", ")}.`);
  if (!column.items.length) found.push("No item is left: all are in the history or filtered out.");
  return found.map((remark) => make("p", { class: "message meta" }, remark));
}

function ruledOut(item, rules) {
  if (item.rule === null) return "others took its place";
  const rule = rules.find((one) => one.name === item.rule);
  return rule === undefined || rule.kind === item.rule ? item.rule : `${rule.kind}: ${item.rule}`;
}

function movement(item, place, k, edited) {
  if (!edited) return null;
  if (item.before === null || item.before > k) {
    const was = item.before === null ? "" : ` (was ${item.before})`;
    return make("span", { class: "move new", title: `new in this list${was}` }, "new", make("span", { class: "hidden" }, was));
  }
  const by = item.before - place;
  if (by === 0) return null;
  const [mark, word] = by > 0 ? ["▲", "up"] : ["▼", "down"];
  return make("span", { class: `move ${word}`, title: `was ${item.before}` },
    make("span", { "aria-hidden": "true" }, `${mark}${Math.abs(by)}`),
    make("span", { class: "hidden" }, `${word} ${Math.abs(by)}, was ${item.before}`));
}

/**
 * Write into the rows of a list where the list beside it has the item, where that is another place. That a list
 * has an item alone is said of the candidate's, against what is live, and only while it is the exception.
 */
export function showElsewhere(name, answer) {
  const beside = (name === "champion" ? ["challenger"] : ["champion", "challenger"])
    .find((other) => other !== name && answer[other].state === "ready");
  const rows = [...document.querySelectorAll(`#${name} .elsewhere`)];
  const places = rows.map((row) => beside === undefined ? null
    : 1 + answer[beside].items.findIndex((one) => one.item_id === row.closest("li").dataset.item));
  const tells = name === "challenger" && places.filter((place) => place === 0).length <= rows.length / 2;
  rows.forEach((row, index) => {
    const place = places[index];
    row.textContent = place && place !== index + 1 ? `${NAMES[beside]} ${place}` : place === 0 && tells ? "not live now" : "";
  });
}

/** Why a list is not there, for the line above the others; null where it is. */
export function missing(name, answer) {
  const found = answer[name];
  if (found.state === "none" && name === "champion") return `Nothing is live yet: ${found.message ?? "no version has passed the gate"}`;
  if (found.state === "none") return "No other version is waiting to go live.";
  return found.state === "failed" ? `${NAMES[name]}, version ${found.version}: ${found.message}` : null;
}

/**
 * One list.
 * @param {string} name
 * @param {any} answer of /explorer/api/lists
 * @param {number} k
 * @param {boolean} pictures whether any item has one
 * @param {{why: Function, add: Function}} actions
 */
export function column(name, answer, k, pictures, actions) {
  const found = answer[name];
  if (found.state === "loading") return [heading(name, found, found.message), skeleton(name, k)[1]];
  const rows = found.items.map((item, index) => {
    const key = `${name} ${item.item_id}`;
    const slot = make("div", { class: "why", id: `why-${name}-${index}`, "aria-live": "polite", hidden: true });
    const facts = name === "popularity" ? describe(item, `${item.score.toLocaleString("en")}\u00a0have\u00a0it`) : describe(item);
    return make("li", { "data-item": item.item_id },
      make("div", { class: "line" },
        make("span", { class: "rank" }, String(index + 1)),
        picture(item, pictures),
        make("div", { class: "words" },
          make("span", { class: "title", title: `${nameOf(item)}, id ${item.item_id}` }, nameOf(item)),
          make("span", { class: "meta" }, ruleMark(item.rule, answer.rules), " ", movement(item, index + 1, k, answer.edited), " ", facts),
          make("span", { class: "meta elsewhere" })),
        make("div", { class: "actions" },
          name !== "popularity" && make("button", { type: "button", class: "small", "aria-expanded": "false", "aria-controls": slot.id,
            "aria-label": `Why ${nameOf(item)}?`, "data-key": `why ${key}`,
            click: (event) => actions.why(name, item, slot, event.currentTarget) }, "Why?"),
          make("button", { type: "button", class: "small", "aria-label": `Add ${nameOf(item)} to the history`,
            "data-key": `add ${key}`, click: () => actions.add(item) }, "Add"))),
      slot);
  });
  const gone = found.gone.map((item) => make("li", {}, `${nameOf(item)} (was ${item.before}${item.seen ? ", now in the history" : ""})`));
  const ruled = found.ruled.map((item) => make("li", {}, `${nameOf(item)} (${ruledOut(item, answer.rules)}; without rules ${item.before})`));
  return [
    heading(name, found, ...noteOf(name, found, answer)),
    ...remarks(name, found, answer),
    make("ol", { class: "items" }, ...rows),
    gone.length > 0 && make("div", { class: "gone" }, make("p", {}, "Gone from the list"), make("ul", {}, ...gone)),
    ruled.length > 0 && make("div", { class: "gone" }, make("p", {}, "Left out by rules of the shop"), make("ul", {}, ...ruled)),
  ].filter(Boolean);
}

// --- why -----------------------------------------------------------------------------------------------

const SHOWN = 5;

/** What speaks for an item, in the recommender's own terms: a word and an item of the history, or none. */
const REASONS = {
  "seen with": "seen with", brand: "same brand as", category: "same category as", like: "like",
  price: "near your usual price", rising: "rising lately", popular: "popular", new: "on sale only lately",
  "first stage": "high among the proposals",
};

function spoken(reasons) {
  return reasons.length > 0 && make("ul", { class: "reasons" }, ...reasons.slice(0, SHOWN).map((one) =>
    make("li", {}, REASONS[one.kind], ...(one.item ? [" ", make("b", {}, nameOf(one.item))] : []))));
}

/** What a rule of the shop has to do with the place of an item. */
function byRule(why, item, rules) {
  const rule = rules.find((one) => one.name === item.rule);
  if (rule === undefined) return null;
  const alone = why.rank === null ? "The model alone would not list it: it is in the history or filtered out."
    : `By the model alone it stands at ${why.rank.toLocaleString("en")}.`;
  return make("p", {}, "The rule ", make("b", {}, rule.name), ` ${rule.does}. ${alone}`);
}

/** Why an item is there: what speaks for it, a sentence, and the nearest items of the history. */
export function explanation(why, item, rules) {
  const ruled = byRule(why, item, rules);
  if (why.rank === null) return [ruled ?? make("p", {}, "The model alone would not list it.")];
  if (!why.influences.length) {
    return [ruled, spoken(why.reasons),
      make("p", {}, "Nothing of the history counts: this is what someone new is shown.")].filter(Boolean);
  }
  const fall = (one) => (one.without ?? why.ranked + 1) - why.rank;
  const most = why.influences.reduce((best, one) => (fall(one) > fall(best) ? one : best));
  const sentence = fall(most) > 0
    ? ["Without ", make("b", {}, nameOf(most.item)), ` it would fall from ${why.rank} to ${most.without.toLocaleString("en")}.`]
    : ["No single item of the history holds it up: it would stay without any one of them."];
  const rank = (value) => (value === null ? "–" : value.toLocaleString("en"));
  const rows = why.influences.map((one, index) => make("tr", { hidden: index >= SHOWN && one !== most },
    make("th", { scope: "row" }, nameOf(one.item)), make("td", {}, rank(one.alone)), make("td", {}, rank(one.without))));
  const more = rows.some((row) => row.hidden) && make("button", { type: "button", class: "small",
    click: (event) => { rows.forEach((row) => { row.hidden = false; }); event.currentTarget.remove(); } },
    `All ${why.influences.length}`);
  return [
    ruled,
    spoken(why.reasons),
    make("p", {}, ...sentence),
    make("table", {},
      make("caption", { class: "hidden" }, "The nearest items of the history"),
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Nearest items"),
        make("th", { scope: "col" }, "alone"), make("th", { scope: "col" }, "without"))),
      make("tbody", {}, ...rows)),
    more,
    make("p", { class: "meta" }, `The rank of ${why.item.item_id === nameOf(why.item) ? "" : "id "}${why.item.item_id} for someone who has that item alone, and for this history without that item.`,
      why.history > why.influences.length ? ` Of ${plural(why.history, "item")}, the ${why.influences.length} with the largest confidences were tried.` : ""),
  ].filter(Boolean);
}
