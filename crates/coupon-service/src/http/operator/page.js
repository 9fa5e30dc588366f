// The operators' page: shows what the service answers, and asks it for changes. It holds no data of its own, sets no
// cookie, and keeps the token for as long as the tab is open.
import { by, complain, count, element, fit, write } from "./parts.js";

const REFRESH_MS = 2000;
const PAGE = 25;
/** The largest total that a coupon can have. */
const MOST = 2147483647;

let token = sessionStorage.getItem("token") ?? "";
let operator = sessionStorage.getItem("operator") ?? "";
/** The cursors that led to this page of coupons; none led to the first. */
let pages = [];
let next = null;
let room = "";
/** The number of times that the service was asked how the sale stands. */
let asks = 0;
/** The change that the dialog is about. */
let asked = null;

// ---- asking the service

/** Text as the bytes of its UTF-8: all that a header can carry. */
const header = (text) => String.fromCharCode(...new TextEncoder().encode(text));

/** Asks the service; gives its status, 0 when it does not answer, and what it says. */
async function ask(method, path, body) {
  const headers = {};
  if (token) headers.authorization = `Bearer ${header(token)}`;
  if (method !== "GET" && operator) headers["x-operator"] = header(operator);
  if (body !== undefined) headers["content-type"] = "application/json";
  try {
    const options = { method, headers, body: body && JSON.stringify(body), credentials: "omit", cache: "no-store" };
    const response = await fetch(path, options);
    return { status: response.status, body: await response.json() };
  } catch {
    return { status: 0, body: { detail: "The service does not answer; trying again." } };
  }
}

// ---- what is going on

async function refresh() {
  const mine = (asks += 1);
  const query = new URLSearchParams({ limit: PAGE });
  if (pages.length > 0) query.set("cursor", pages.at(-1));
  if (room) query.set("room_id", room);
  const answers = await Promise.all([
    ask("GET", "admin/stats"), ask("GET", `admin/coupons?${query}`), ask("GET", "admin/shards/status"), ask("GET", "admin/changes?limit=20"),
    ask("GET", "admin/layout"), ask("GET", "admin/archive"),
  ]);
  // Whoever asks later shows what is later.
  if (mine !== asks) return;
  const refused = answers.find(({ status }) => status === 401 || status === 403);
  if (refused) return signIn(refused);
  by("sign-in").hidden = true;
  by("who").hidden = by("up").hidden = false;
  write(by("who"), operator ? `You are ${operator}` : "Say who you are");
  const [stats, coupons, shards, changes, layout, archive] = answers.map(({ status, body }) => (status === 200 ? body : null));
  if (stats) showService(stats);
  if (coupons) showCoupons(coupons);
  if (shards) showShards(shards);
  if (layout) showLayout(layout, stats);
  if (archive) showArchive(archive.archive);
  if (changes) showChanges(changes);
  const failed = answers.find(({ status }) => status !== 200);
  if (failed?.body.field === "room_id") {
    room = "";
    complain(by("filter"), by("wrong-filter"), [{ field: "room_id", message: failed.body.detail }]);
  } else if (failed) tell(failed.body.detail, false);
  else if (by("status").dataset.of !== "change") tell("Up to date.", true);
}

/** Shows how the last request went; a change's outcome stays until the next one. */
function tell(text, good, of = "look") {
  write(by("status"), text);
  by("status").dataset.of = of;
  by("status").classList.toggle("alert", !good);
}

function signIn({ status, body }) {
  for (const part of ["coupons", "shards", "layout", "changes", "who", "up"]) by(part).hidden = true;
  tell(status === 401 ? (token ? "The service does not know this token." : "This service wants a token.") : body.detail, status === 401 && !token);
  if (by("sign-in").hidden && status === 401) {
    by("token-field").hidden = false;
    by("operator").value = operator;
    by("sign-in").hidden = false;
    by("token").focus();
  }
}

by("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!by("token-field").hidden) token = by("token").value.trim();
  operator = by("operator").value.trim();
  by("token").value = "";
  sessionStorage.setItem("token", token);
  sessionStorage.setItem("operator", operator);
  by("sign-in").hidden = true;
  refresh();
});

by("who").addEventListener("click", () => {
  by("token-field").hidden = token === "";
  by("token").value = token;
  by("operator").value = operator;
  by("sign-in").hidden = false;
  by("operator").focus();
});

function showService(stats) {
  const trails = stats.main_lag_entries > 0 ? `the main database has not been told of ${count.format(stats.main_lag_entries)} changes yet` : "the main database knows of everything";
  const aside = stats.set_aside > 0 ? `; set aside, since their rows make no sense: ${stats.set_aside_coupons.map((one) => `coupon ${one.coupon_id} (${one.reason})`).join(", ")}` : "";
  write(by("service"), `${stats.service}, ${stats.strategy}`);
  write(by("main"), `Catalogue version ${stats.catalogue_version}; ${trails}${aside}.`);
  by("main").classList.toggle("alert", stats.set_aside > 0);
}

const PHASES = { early: "begins later", open: "on sale", over: "over", withdrawn: "withdrawn" };
const minute = (time) => time.slice(0, 16).replace("T", " ");
const second = (time) => time.slice(0, 19).replace("T", " ");

/** A row of a table: its head, and so many cells. */
function line(cells) {
  const row = element("tr", {}, element("th", { scope: "row" }));
  for (let cell = 0; cell < cells; cell += 1) row.insertCell();
  return row;
}

function showCoupons(page) {
  by("coupons").hidden = false;
  fit(by("rows"), page.items, () => by("row").content.firstElementChild.cloneNode(true));
  page.items.forEach((coupon, at) => showCoupon(by("rows").children[at], coupon));
  by("none").hidden = page.items.length > 0;
  by("partial").hidden = page.missing_shards.length === 0;
  write(by("partial"), `Shards ${page.missing_shards.join(", ")} do not answer: what is held there is not counted.`);
  next = page.next_cursor;
  by("back").disabled = pages.length === 0;
  by("more").disabled = next === null;
}

function showCoupon(row, coupon) {
  const part = (name) => row.querySelector(`.${name}`);
  row.coupon = coupon;
  write(part("name"), coupon.coupon_name);
  write(part("of"), `coupon ${coupon.coupon_id}, room ${coupon.room_id}`);
  write(part("phase"), PHASES[coupon.phase]);
  part("phase").className = `phase ${coupon.phase}`;
  write(part("from"), `from ${minute(coupon.start_time)}`);
  write(part("until"), `until ${minute(coupon.end_time)}`);
  write(part("total"), count.format(coupon.total_stock));
  write(part("sold"), `${count.format(coupon.sold)}${coupon.trailing ? " (as main has it)" : ""}`);
  write(part("held"), count.format(coupon.held));
  write(part("left"), count.format(coupon.left));
  const share = coupon.total_stock > 0 ? Math.min(1, coupon.sold / coupon.total_stock) : 0;
  part("fill").style.setProperty("inline-size", `${100 * share}%`);
  const withdrawn = coupon.phase === "withdrawn";
  const [raise, end, withdraw] = row.querySelectorAll("button");
  end.disabled = coupon.phase === "over";
  withdraw.dataset.change = withdrawn ? "offer" : "withdraw";
  write(withdraw, withdrawn ? "Offer" : "Withdraw");
  for (const [button, word] of [[raise, "Raise"], [end, "End"], [withdraw, withdraw.textContent]]) {
    button.setAttribute("aria-label", `${word} coupon ${coupon.coupon_id}`);
  }
}

function showShards({ shards }) {
  by("shards").hidden = false;
  const down = shards.filter((shard) => !shard.up).map((shard) => shard.shard);
  write(by("up"), down.length > 0 ? `Shards that do not answer: ${down.join(", ")}` : `all ${shards.length} shards are up`);
  by("up").className = down.length > 0 ? "alert" : "soft";
  fit(by("shard-rows"), shards, () => line(5));
  shards.forEach((shard, at) => {
    const cells = by("shard-rows").rows[at].cells;
    const share = shard.share === null ? "n/a" : `${(100 * shard.share).toFixed(1)}%`;
    const rate = shard.writes_per_s === null ? "n/a" : count.format(shard.writes_per_s);
    const texts = [`shard ${shard.shard}`, shard.up ? "up" : "does not answer", count.format(shard.rows), share, rate, count.format(shard.queue_depth)];
    texts.forEach((text, cell) => write(cells[cell], text));
    cells[1].className = shard.up ? "good" : "alert";
    cells[1].title = shard.trouble ?? "";
  });
}

const stateOf = (version) => (version.closed ? "closed: no row is left there" : version.receives ? "receives rows" : "has rows");

function showLayout({ shards, shards_prepared: prepared, unused, versions, rebalance }, stats) {
  by("layout").hidden = false;
  const latest = versions.at(-1);
  const more = prepared > shards ? `; ${count.format(prepared)} are prepared` : "";
  const empty = unused.length > 0 ? `; unused: ${unused.join(", ")}` : "";
  write(by("layout-now"), `${stats ? `${stats.strategy}, ` : ""}version ${latest.version} of the layout, over ${count.format(shards)} shards${more}${empty}: ${latest.layout}`);
  by("moving").hidden = rebalance === null;
  if (rebalance) showMoving(rebalance);
  const log = versions.toReversed();
  fit(by("version-rows"), log, () => line(4));
  log.forEach((version, at) => {
    // Nobody announced the first one.
    const [from, who] = version.operator === "" ? ["the beginning", ""] : [second(version.valid_from), version.operator];
    const texts = [version.version, from, who, stateOf(version), `${version.what}: ${version.layout}`];
    texts.forEach((text, cell) => write(by("version-rows").rows[at].cells[cell], String(text)));
  });
}

function showMoving(moving) {
  const left = moving.seconds_left === null ? "waiting" : `${count.format(moving.rows_per_s)} looked at a second, ${count.format(moving.rows_per_s_most)} moved at most, ${count.format(moving.seconds_left)} s left`;
  const state = moving.runs ? `under way: ${left}` : moving.done ? "done" : "stopped";
  write(by("moving-now"), `Rows to version ${moving.to_version}, begun by ${moving.operator} at ${second(moving.began_at)}, ${state}. ${count.format(moving.moved)} moved, ${count.format(moving.looked_at)} of ${count.format(moving.rows)} looked at.`);
  show("moving", moving.looked_at, moving.rows, moving.trouble);
}

function showArchive(archive) {
  by("archive").hidden = archive === null;
  if (archive === null) return;
  const gone = archive.rows_dropped + archive.rows_deleted;
  const stay = archive.held > 0 ? `; ${count.format(archive.held)} stay for now` : "";
  write(by("archive-now"), `Results of the days before ${archive.before}, archived by ${archive.operator} since ${second(archive.began_at)}, ${archive.runs ? "under way" : "not under way any more"}. ${count.format(gone)} of ${count.format(archive.rows)} have gone${stay}.`);
  show("archive", gone, archive.rows, archive.trouble);
}

/** How far something is, and what is in its way. */
function show(what, done, all, trouble) {
  by(`${what}-fill`).style.setProperty("inline-size", `${all > 0 ? Math.min(100, (100 * done) / all) : 100}%`);
  by(`${what}-trouble`).hidden = trouble === null;
  write(by(`${what}-trouble`), trouble ?? "");
}

function showChanges({ items }) {
  by("changes").hidden = false;
  fit(by("change-rows"), items, () => line(3));
  items.forEach((change, at) => {
    // What is of no coupon or room says in words what it is of.
    const of = change.coupon_id ? `coupon ${change.coupon_id}` : change.room_id ? `room ${change.room_id}` : "";
    const texts = [second(change.time), change.operator, of, change.what];
    texts.forEach((text, cell) => write(by("change-rows").rows[at].cells[cell], text));
  });
}

// ---- which coupons

function turn(to) {
  pages = to;
  refresh();
}

by("more").addEventListener("click", () => next && turn([...pages, next]));
by("back").addEventListener("click", () => turn(pages.slice(0, -1)));
by("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  room = by("room").value.trim();
  complain(by("filter"), by("wrong-filter"), []);
  turn([]);
});

// ---- changes

const CHANGES = {
  raise: (coupon) => ({
    question: `Change the total of ${coupon.coupon_name}`,
    consequence: "It may be lowered too: below what is sold, nothing more is sold, and nobody loses theirs.",
    word: "Change the total",
  }),
  end: (coupon) => ({
    question: `End ${coupon.coupon_name} now?`,
    consequence: "Nobody grabs it after this moment. Whoever has one keeps it, and what is held may still be confirmed.",
    word: "End it",
  }),
  withdraw: (coupon) => ({
    question: `Withdraw ${coupon.coupon_name}?`,
    consequence: "Nobody grabs it until it is offered again. Whoever has one keeps it.",
    word: "Withdraw it",
  }),
  offer: (coupon) => ({
    question: `Offer ${coupon.coupon_name} again?`,
    consequence: "It can be grabbed within its window, as far as there is any left.",
    word: "Offer it",
  }),
};

by("rows").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const coupon = button.closest("tr").coupon;
  asked = { kind: button.dataset.change, coupon };
  const { question, consequence, word } = CHANGES[asked.kind](coupon);
  write(by("question"), `${question} (coupon ${coupon.coupon_id})`);
  write(by("consequence"), consequence);
  write(by("do"), word);
  by("total-field").hidden = asked.kind !== "raise";
  by("total").value = coupon.total_stock;
  write(by("about-total"), `now ${count.format(coupon.total_stock)}, of which ${count.format(coupon.sold)} are sold`);
  complain(by("change"), by("wrong-change"), []);
  by("dialog").showModal();
  if (asked.kind === "raise") by("total").select();
});

by("leave").addEventListener("click", () => by("dialog").close());

/** The reason why a change cannot be asked for, by its field; none if it can. */
function wrong({ kind }) {
  const total = by("total").value.trim();
  const fits = /^\d+$/.test(total) && Number(total) <= MOST;
  return kind === "raise" && !fits ? [{ field: "total_stock", message: `total_stock must be from 0 to ${MOST}` }] : [];
}

/** The request that makes a change. */
function request({ kind, coupon }) {
  const path = `admin/coupons/${coupon.coupon_id}`;
  if (kind === "raise") return ["PATCH", path, { total_stock: Number(by("total").value.trim()) }];
  if (kind === "offer") return ["PATCH", path, { status: 1 }];
  return ["POST", `${path}/${kind}`];
}

by("change").addEventListener("submit", async (event) => {
  event.preventDefault();
  const reasons = wrong(asked);
  complain(by("change"), by("wrong-change"), reasons);
  if (reasons.length > 0) return;
  // Until it is answered, a second click would only ask for the same.
  by("do").disabled = true;
  const { status, body } = await ask(...request(asked));
  by("do").disabled = false;
  if (status !== 200) return complain(by("change"), by("wrong-change"), [{ field: body.field ?? null, message: body.detail }]);
  by("dialog").close();
  tell(outcome(asked.coupon, body), body.unconfirmed.length === 0 && body.gate, "change");
  refresh();
});

function outcome(coupon, answer) {
  const of = `Coupon ${coupon.coupon_id}: `;
  if (!answer.changed) return `${of}it was so already.`;
  if (!answer.gate) return `${of}recorded as version ${answer.version}; the gate is shut, and opens with it.`;
  const others = answer.unconfirmed.length > 0 ? `; ${answer.unconfirmed.join(", ")} did not confirm within two seconds, and is bound by the gate` : "";
  return `${of}in force as version ${answer.version}, after ${count.format(answer.waited_ms)} ms${others}.`;
}

// ---- going on

async function follow() {
  if (!document.hidden && by("sign-in").hidden) await refresh();
  setTimeout(follow, REFRESH_MS);
}

document.addEventListener("visibilitychange", () => document.hidden || (by("sign-in").hidden && refresh()));
follow();
