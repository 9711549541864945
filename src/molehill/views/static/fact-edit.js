// @ts-check
/**
 * An edit of a model: every prompt before and after, the health gate, free text, size and making.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.fact-edit/1, see docs/rooms/facts.md) into `el` and returns its own cleanup. It asks
 * nothing of the network, and every text from the data becomes a text node.
 */

import { clamp, clipped, h, minus, percent, rendering, s, sized, small } from "./kit.js";
import { FactPage } from "./facts-live.js";

const render = rendering(() => View);
export default { render };

const GROUPS = { prompt: "What was taught", paraphrase: "In other words", neighbour: "Neighbours", earlier: "What earlier edits taught" };
const VERDICTS = { healthy: "healthy", warns: "a warning", refuses: "refused" };
/** The left end of the logarithmic scale, in powers of ten. */
const LEAST = -6;

class View extends FactPage {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = `edit ${data.edit.name}`;
    this.state = { ...this.state, scale: "linear" };
    this.notice = this.fromHash();
  }

  build() {
    this.mount(this.head(), this.leadOf(this.data.summary), ...this.applying(), this.stage(), ...this.texts(), this.own(), this.making(), this.foot());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.box);
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    this.resized();
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  takers() {
    return { scale: (value) => ["linear", "log"].includes(value) && this.set("scale", value) };
  }

  resized() {
    const room = Math.floor(this.box.clientWidth);
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  all() {
    this.draw();
    this.syncControls();
    this.writeHash([`scale=${this.state.scale}`]);
    this.say(() => `${this.state.scale === "log" ? "Logarithmic" : "Linear"} scale`);
  }

  head() {
    const { edit, provenance: made, stack } = this.data;
    const keys = [["Tab", "the next control"], ["← →", "linear or logarithmic (choice focused)"], ["?", "this list"], ["Esc", "close it"]];
    const after = stack.length ? ` · after ${stack.length} other${stack.length > 1 ? "s" : ""}` : "";
    const fact = edit.facts[0];
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, fact ? `${clipped(fact.subject, 40)}: ${clipped(fact.object, 40)}` : "An edit"),
        h("p", { class: "sub" }, `edit ${edit.name} · ${edit.method} · ${made.model}, ${made.dtype}${after}`)),
      h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds what you see: copy it to come back.")));
  }

  // --- before and after -------------------------------------------------------------------------

  stage() {
    this.chart = s("svg", { class: "chart", role: "img" });
    this.box = h("div", { class: "frame" }, this.chart);
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "Before and after"), this.segments("scale", "Scale", { linear: "linear", log: "logarithmic" }),
          this.exports("prompts", () => this.chart, () => this.cells())),
        this.box,
        h("p", { class: "caption" }, "The probability of what the model said before (above) and of the new object (below): an open ring before the edit, a full dot after it."),
        this.details("As a table", () => this.cells())),
      h("div", { class: "side" }, this.gate()));
  }

  cells() {
    const names = ["kind", "prompt", "was", "was_before", "was_after", "wanted", "wanted_before", "wanted_after", "rank_before", "rank_after", "first_before", "first_after"];
    return [names.map((name) => name.replace("_", " ")), ...this.data.rows.map((row) => names.map((name) => row[name]))];
  }

  /** Where a probability lies, from 0 to 1. @param {number | null} value */
  place(value) {
    if (value === null) return 0;
    if (this.state.scale === "linear") return clamp(value, 0, 1);
    return clamp(1 - Math.log10(Math.max(value, 10 ** LEAST)) / LEAST, 0, 1);
  }

  draw() {
    const width = Math.max(220, Math.floor(this.box.clientWidth));
    const names = Math.min(120, Math.round(width * 0.24));
    const values = 118;
    const x = (value) => names + 8 + this.place(value) * (width - names - values - 16);
    const parts = [];
    let [y, group] = [4, ""];
    for (const row of this.data.rows) {
      if (row.kind !== group) {
        group = row.kind;
        const against = this.data.stack.length ? s("tspan", { class: "axis against" }, ` before: ${this.data.against[group]}`) : "";
        parts.push(s("text", { class: "group", x: 0, y: y + 14 }, GROUPS[group] ?? group, against));
        y += 26;
      }
      parts.push(this.row(row, y, width, names, x));
      y += same(row) ? 44 : 62;
    }
    const ends = this.state.scale === "linear" ? [[0, "0"], [0.5, "0.5"], [1, "1"]] : [[10 ** LEAST, "≤ 10⁻⁶"], [1e-3, "10⁻³"], [1, "1"]];
    const axis = ends.map(([value, name]) => s("g", {},
      s("line", { class: "rule", x1: x(value), x2: x(value), y1: 20, y2: y }),
      s("text", { class: "axis", x: x(value), y: y + 14, "text-anchor": "middle" }, name)));
    sized(this.chart, width, y + 22);
    const title = `Probabilities after ${this.data.rows.length} prompts before and after the edit`;
    this.chart.setAttribute("aria-label", title);
    this.chart.replaceChildren(s("title", {}, title), ...axis, ...parts);
  }

  /** One prompt with two lines. @param {any} row @param {number} y @param {number} width @param {number} names @param {(value: number) => number} x */
  row(row, y, width, names, x) {
    const prompt = row.prompt.trim();
    const line = (kind, name, before, after, top) => s("g", { class: kind },
      s("title", {}, `${name}: ${amount(before)} before, ${amount(after)} after`),
      s("text", { x: names, y: top, dy: "0.35em", "text-anchor": "end" }, clipped(name, Math.floor(names / 7))),
      s("line", { class: "moved", x1: x(before), x2: x(after), y1: top, y2: top }),
      s("circle", { class: "before", cx: x(before), cy: top, r: 4.5 }),
      s("circle", { class: "after", cx: x(after), cy: top, r: 4.5 }),
      s("text", { class: "axis", x: width, y: top, dy: "0.35em", "text-anchor": "end" }, `${amount(before)} → ${amount(after)}`));
    const told = row.kind === "neighbour" ? (row.unchanged ? "unchanged" : `now “${row.first_after}”`) : row.said ? "said" : `says “${row.first_after}”`;
    const good = row.kind === "neighbour" ? row.unchanged : row.said;
    return s("g", {},
      s("line", { class: "rule", x1: 0, x2: width, y1: y - 2, y2: y - 2 }),
      s("text", { x: 0, y: y + 13 }, s("title", {}, prompt), tail(prompt, Math.floor((width - 130) / 6.6))),
      s("text", { class: good ? "axis" : "bad", x: width, y: y + 13, "text-anchor": "end" }, clipped(told, 20)),
      same(row) ? "" : line("was", row.was, row.was_before, row.was_after, y + 28),
      line("wanted", row.wanted, row.wanted_before, row.wanted_after, y + (same(row) ? 28 : 46)));
  }

  // --- the gate -----------------------------------------------------------------------------------

  gate() {
    const { health } = this.data;
    return [
      h("h2", {}, "Health gate: ", h("span", { class: `verdict ${health.verdict}` }, VERDICTS[health.verdict])),
      h("ul", { class: "gates" }, health.measures.map((one) => this.measure(one))),
      small(`Bits per byte are of ${health.text || "no text"}${health.text_bytes ? `, ${health.text_bytes.toLocaleString("en")} bytes` : ""}.`),
    ];
  }

  /** One value against its limits. @param {any} one */
  measure(one) {
    const reach = one.more_is_worse ? Math.max(1.5 * (one.refuse ?? one.warn), one.value ?? 0) : 1;
    const at = (value) => `${100 * clamp((value ?? reach) / reach, 0, 1)}%`;
    const bar = h("span", { class: `bar ${one.verdict}` });
    bar.style.width = at(one.value);
    const limit = (value, name) => {
      if (value === null) return "";
      const mark = h("i", { title: `${name} ${percent(value)}` });
      mark.style.left = at(value);
      return mark;
    };
    return h("li", {},
      h("p", {}, h("strong", {}, one.name), ` ${one.more_is_worse && one.value > 0 ? "+" : ""}${percent(one.value)}`, h("span", { class: `verdict ${one.verdict}` }, VERDICTS[one.verdict])),
      h("span", { class: "track" }, bar, limit(one.warn, "warned of from"), limit(one.refuse, "refused from")),
      small(one.sentence));
  }

  // --- text, and how it was made -------------------------------------------------------------------

  texts() {
    const { written, stack, against } = this.data;
    if (!written.length) return [];
    const side = (name, one, text) => h("div", {}, h("h3", {}, name), h("blockquote", { dir: "auto" }, h("span", { class: "weak" }, one.prompt.trim()), ` ${text}`));
    return [h("section", { class: "written" }, h("h2", {}, "Going on freely"),
      written.map((one) => h("div", { class: "columns" }, side(stack.length ? `before, ${against.written}` : "before", one, one.before), side("after", one, one.after))))];
  }

  /** A prompt of one's own, for the model as it came and the one with this edit. */
  own() {
    const { edit, stack_digests: stack = [] } = this.data;
    return this.trying(edit.facts[0]?.prompt ?? "", () => [...stack, edit.digest], "with this edit");
  }

  making() {
    const { edit, sizes, stack } = this.data;
    const number = (value) => minus(Number(value).toPrecision(3));
    const rows = sizes.map((one) => h("tr", {}, h("th", { scope: "row" }, one.where), [number(one.norm), percent(one.relative), String(one.rank)].map((text) => h("td", { class: "figure" }, text))));
    const heads = ["weight", "length of the change", "of its own", "rank"];
    const table = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Sizes" }, h("table", {},
      h("thead", {}, h("tr", {}, heads.map((name, index) => h("th", { scope: "col", class: index ? "figure" : null }, name)))), h("tbody", {}, rows)));
    const told = (value) => {
      if (Array.isArray(value)) return value.map(told).join(", ") || "none";
      if (typeof value === "object" && value !== null) return Object.entries(value).map(([name, one]) => `${name} ${told(one)}`).join(", ");
      return String(value);
    };
    const entries = [
      ["digest", edit.digest.slice(0, 16)], ["made for", `${edit.model} (${edit.fingerprint.slice(0, 12)})`],
      ["made after", stack.length ? stack.join(", ") : "no other edit"], ["Molehill", edit.molehill],
      ...Object.entries(edit.metrics).filter(([name]) => !["measures", "health", "held_out"].includes(name)),
      ...Object.entries(edit.settings),
    ];
    return h("section", { class: "why" }, h("h2", {}, "How it was made"),
      h("div", { class: "columns" },
        h("div", {}, h("h3", {}, "What it changes"), table),
        h("dl", { class: "made" }, entries.map(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, told(value))]))));
  }

  /** @param {number} most */
  signature(most) {
    const { edit, provenance: made } = this.data;
    return [`edit ${edit.name}, ${edit.method}: ${edit.facts[0]?.prompt ?? ""} ${edit.facts[0]?.object ?? ""}`, `${made.model} ${made.fingerprint.slice(0, 12)} · ${made.dtype} · Molehill ${made.version}`]
      .map((text) => ({ text: clipped(text, most) }));
  }

  foot() {
    return this.footOf(this.data.notes, "edit");
  }
}

/** A probability with two digits that tell. @param {number | null} value */
function amount(value) {
  if (value === null || value === undefined) return "not finite";
  if (value === 0) return "0";
  if (value >= 0.0995) return value.toFixed(2);
  if (value >= 0.000995) return value.toPrecision(2);
  return minus(value.toExponential(0)).replace("e-", "e−");
}

/** Whether the model said the new object before: one line is enough then. @param {any} row */
function same(row) {
  return row.was === row.wanted && row.was_before === row.wanted_before;
}

/** The end of a text: what a prompt asks stands there. @param {string} text @param {number} most */
function tail(text, most) {
  const characters = [...text];
  return characters.length > most ? `…${characters.slice(characters.length - most + 1).join("")}` : text;
}
