// The live page: sends the form, draws what the server tells.
import { by, complain, count, element, fit, write } from "./parts.js";

const figure = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const shown = (value, unit = "") => (value === null || value === undefined ? "n/a" : (value >= 100 ? count : figure).format(value) + unit);

let choices = null;
let state = null;

// ---- the form

/** A field's value: a number where it is one, else the text, for the server to refuse by name. */
function value(input) {
  const text = input.value.trim();
  return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

function chosen() {
  return [...by("names").querySelectorAll("input:checked")].map((input) => input.value);
}

function build(given) {
  choices = given;
  for (const name of given.contestants) {
    const box = element("input", { type: "checkbox", value: name, checked: given.chosen.includes(name) });
    by("names").append(element("label", {}, box, name));
  }
  by("how-many").textContent = `1 to ${given.most_contestants} of them, ${given.backend === "servers" ? "on servers of the run's own" : "each on files of its own"}`;
  for (const number of given.numbers) {
    by(number.name).value = number.default;
    if (number.name === "seconds") by("about-seconds").textContent = `at most ${number.most}`;
  }
  for (const [name, text] of given.changes) by(name).value = text ?? "";
  given.mix.forEach((part, at) => {
    const id = `part-${at}`;
    const input = element("input", { id, value: part.users, inputMode: "decimal", autocomplete: "off" });
    input.dataset.field = `mix.${part.name}`;
    input.dataset.part = part.name;
    input.setAttribute("aria-describedby", `wrong-${id}`);
    const label = element("label", { htmlFor: id }, part.name);
    by("parts").append(element("div", { className: "field" }, label, input, element("p", { className: "wrong", id: `wrong-${id}` })));
  });
}

/** Asks the server; gives the answer's body, or what was wrong. */
async function ask(path, options) {
  try {
    const response = await fetch(path, options);
    const text = await response.text();
    const body = text.startsWith("{") ? JSON.parse(text) : { errors: [{ field: null, message: text }] };
    return response.ok ? { body, errors: [] } : { body: null, errors: body.errors };
  } catch {
    return { body: null, errors: [{ field: null, message: "The page's program does not answer: has it ended?" }] };
  }
}

function post(path, body) {
  return ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

by("settings").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!choices || by("start").disabled) return;
  const form = { contestants: chosen(), mix: {} };
  for (const { name } of choices.numbers) form[name] = value(by(name));
  for (const [name] of choices.changes) if (by(name).value.trim()) form[name] = value(by(name));
  for (const input of by("parts").querySelectorAll("input")) form.mix[input.dataset.part] = value(input);
  // Until the run is shown, a second click would only be refused.
  by("start").disabled = true;
  const { body, errors } = await post("/api/run", form);
  complain(by("settings"), by("wrong-all"), errors);
  if (!body) by("start").disabled = state?.phase === "running";
});

by("stop").addEventListener("click", async () => {
  const { errors } = await post("/api/stop", {});
  complain(by("settings"), by("wrong-all"), errors);
});

// ---- what is going on

const STAGES = { idle: "Nothing is running.", done: "Done: all audited, the report is ready." };

function status(now) {
  if (now.phase === "failed") return `Failed: ${now.stage}`;
  if (now.phase !== "running") return STAGES[now.phase];
  const stage = now.stage.charAt(0).toUpperCase() + now.stage.slice(1);
  return now.stopping ? `${stage}; stopping` : `${stage} …`;
}

function draw(now) {
  const running = now.phase === "running";
  if (!state || state.run !== now.run || state.contestants.length !== now.contestants.length) deal(now);
  state = now;
  write(by("status"), status(now));
  by("status").classList.toggle("alert", now.phase === "failed");
  by("start").disabled = running;
  by("stop").disabled = !running || now.stopping;
  by("report").hidden = !now.report;
  if (now.report) by("report").setAttribute("href", now.report);
  by("decide").hidden = now.command === "";
  write(by("command"), now.command);
  by("file").hidden = !now.file;
  if (now.file) by("file").setAttribute("href", now.file);
  by("progress").hidden = !running;
  by("progress").value = now.seconds > 0 ? now.elapsed / now.seconds : 0;
  by("notes").hidden = now.phase === "idle";
  const reach = now.phase === "done" ? "over the whole run" : `over the last ${now.window} s`;
  write(by("notes"), `All bars have one scale. Requests a second and latencies: ${reach}; n/a: too few requests for that percentile. ` +
    "Effective shards: rows written ÷ rows on the hottest shard, since the load began. The audit counts the warm-up as well.");
  const most = Math.max(1, ...now.contestants.flatMap((contestant) => contestant.shards.map((shard) => shard.per_s)));
  now.contestants.forEach((contestant, at) => show(by("cards").children[at], contestant, most));
}

/** New cards for a new run. */
function deal(now) {
  by("empty").hidden = now.contestants.length > 0;
  by("cards").replaceChildren(...now.contestants.map((contestant, at) => {
    const card = by("card").content.firstElementChild.cloneNode(true);
    card.classList.add(`c${at % 4}`);
    card.querySelector(".name").textContent = contestant.name;
    const [scenarios, endpoints] = card.querySelectorAll(".scroll");
    scenarios.setAttribute("aria-label", `Requests to ${contestant.name} by scenario`);
    endpoints.setAttribute("aria-label", `Requests to ${contestant.name} by what they ask`);
    return card;
  }));
}

function show(card, contestant, most) {
  const part = (name) => card.querySelector(`.${name}`);
  write(part("stage"), contestant.stage);
  write(part("layout"), contestant.layout);
  write(part("pace"), count.format(contestant.requests_per_s));
  write(part("granted"), count.format(contestant.granted));
  const of = contestant.shards.length;
  write(part("effective"), contestant.effective === null ? "n/a" : `${contestant.effective.toFixed(2)} of ${of}`);
  write(part("errors"), count.format(contestant.errors));
  part("errors").classList.toggle("alert", contestant.errors > 0);
  const waiting = contestant.unsent > 0 ? `${count.format(contestant.unsent)} requests wait for a free connection: it, or this machine, falls behind` : "";
  const behind = [waiting, contestant.failed && `failed: ${contestant.failed}`].filter(Boolean).join("; ");
  part("behind").hidden = behind === "";
  write(part("behind"), behind);
  bars(part("bars"), contestant.shards, most);
  part("changed").hidden = !contestant.change;
  lines(part("change"), contestant.change ? changed(contestant.change) : []);
  lines(part("keys"), contestant.hot);
  heat(part("heat"), contestant.heat);
  table(part("scenarios"), contestant.kinds.scenarios);
  table(part("endpoints"), contestant.kinds.endpoints);
  const audit = contestant.audit;
  const mark = { true: "✓ audit passed: ", false: "✗ audit failed: ", null: "audit " };
  write(part("audit"), audit ? mark[audit.passed] + audit.told : "");
  part("audit").classList.toggle("good", audit?.passed === true);
  part("audit").classList.toggle("bad", audit?.passed === false);
}

/** The shard that has most of the writes, if it has clearly more than its share. */
function hottest(shards) {
  const rows = shards.map((shard) => shard.rows);
  const all = rows.reduce((sum, row) => sum + row, 0);
  const most = Math.max(...rows);
  return shards.length > 1 && most * shards.length > 1.3 * all ? rows.indexOf(most) : -1;
}

function bars(list, shards, most) {
  fit(list, shards, () => by("bar").content.firstElementChild.cloneNode(true));
  const hot = hottest(shards);
  shards.forEach((shard, at) => {
    const item = list.children[at];
    item.classList.toggle("hot", at === hot);
    write(item.querySelector(".shard"), `shard ${at}`);
    item.querySelector(".fill").style.setProperty("inline-size", `${(100 * shard.per_s) / most}%`);
    write(item.querySelector(".value"), `${count.format(shard.per_s)}/s`);
    const lag = shard.lag_ms === null ? "lag n/a" : `lag ${shown(shard.lag_ms)} ms`;
    write(item.querySelector(".more"), `${at === hot ? "hottest · " : ""}${count.format(shard.rows)} rows · queue ${count.format(shard.waiting)} · ${lag}`);
  });
}

/** The change of a layout, in lines. */
function changed(change) {
  const written = (rows) => rows.map((row) => count.format(row)).join(" · ");
  const even = change.even_s === null ? "under way" : `all by ${shown(change.even_s)} s`;
  const pause = change.pause_ms === null ? [] : [`longest time without a decided grab: ${shown(change.pause_ms)} ms`];
  return [
    `${change.what}: asked for at ${shown(change.asked_s)} s, in force at ${shown(change.in_force_s)} s`,
    `written a second, by shard, before: ${written(change.written_before)}`,
    `after: ${written(change.written_after)}`,
    `rows moved: ${count.format(change.moved)}, ${even}; where they arrive they count as written above`,
    ...pause,
  ];
}

/** A list of plain lines. */
function lines(list, told) {
  fit(list, told, () => element("li", {}));
  told.forEach((line, at) => write(list.children[at], line));
}

/** Maps with ranges of keys downwards and time to the right: a dot a cell, stretched by the style. */
function heat(place, maps) {
  fit(place, maps, () => element("figure", {}, element("canvas", {}), element("figcaption", {})));
  maps.forEach((map, at) => {
    const [canvas, caption] = place.children[at].children;
    const told = `by ${map.name}: ${map.ranges[0] === map.ranges[1] ? map.ranges[0] : `${map.ranges[0]} (top) to ${map.ranges[1]}`}, ${shown(map.seconds)} s`;
    if (caption.textContent === told && canvas.dataset.shades === map.shades.join()) return;
    write(caption, told);
    canvas.dataset.shades = map.shades.join();
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Grabs granted ${told}`);
    canvas.classList.toggle("few", map.shades.length < 4);
    canvas.width = Math.max(1, ...map.shades.map((line) => line.length));
    canvas.height = Math.max(1, map.shades.length);
    const draw = canvas.getContext("2d");
    draw.fillStyle = getComputedStyle(canvas).color;
    map.shades.forEach((line, y) => [...line].forEach((digit, x) => {
      draw.globalAlpha = digit === "0" ? 0.06 : 0.1 + 0.1 * Number(digit);
      draw.fillRect(x, y, 1, 1);
    }));
  });
}

function table(body, kinds) {
  fit(body, kinds, () => {
    const row = element("tr", {}, element("th", { scope: "row" }, element("span", {}), element("small", {})));
    for (let cell = 0; cell < 4; cell += 1) row.insertCell();
    return row;
  });
  kinds.forEach((kind, at) => {
    const cells = body.rows[at].cells;
    write(cells[0].firstElementChild, kind.name);
    write(cells[0].lastElementChild, kind.about);
    [shown(kind.per_s), shown(kind.p50_ms), shown(kind.p99_ms), count.format(kind.errors)].forEach((text, cell) => write(cells[cell + 1], text));
  });
}

function follow() {
  const events = new EventSource("/api/events");
  events.onmessage = (event) => draw(JSON.parse(event.data));
  events.onerror = () => write(by("status"), "The page's program does not answer; trying again.");
}

// ---- where a grab goes

by("question").addEventListener("submit", async (event) => {
  event.preventDefault();
  const question = new URLSearchParams({ contestants: chosen().join(","), shards: by("shards").value.trim() });
  for (const input of by("question").querySelectorAll("input")) question.set(input.id, input.value.trim());
  const { body, errors } = await ask(`/api/explain?${question}`);
  complain(by("question"), by("wrong-question"), errors);
  by("answer").replaceChildren();
  if (!body) return;
  by("answer").append(element("p", {}, body.grab, " Where the result lives follows from its user, room and time; the coupon decides nothing."));
  const cards = element("div", { className: "cards" });
  by("answer").append(cards);
  for (const strategy of body.strategies) cards.append(explanation(strategy));
});

function explanation(strategy) {
  const card = by("strategy").content.firstElementChild.cloneNode(true);
  card.querySelector(".name").textContent = strategy.contestant;
  card.querySelector(".layout").textContent = strategy.layout;
  card.querySelector(".scroll").setAttribute("aria-label", `Queries of ${strategy.contestant}`);
  const { Ok: place, Err: why } = strategy.stored;
  card.querySelector(".stored").textContent = place ? `Stored on ${place}, because` : `Not stored: ${why}`;
  card.querySelector(".because").append(...strategy.because.map((step) => element("li", {}, step)));
  for (const { query, knows, visits } of strategy.queries) {
    const row = card.querySelector("tbody").insertRow();
    row.append(element("th", { scope: "row" }, query), element("td", {}, knows), element("td", {}, visits));
  }
  return card;
}

ask("/api/choices").then(({ body, errors }) => {
  if (!body) return complain(by("settings"), by("wrong-all"), errors);
  build(body);
  follow();
});
