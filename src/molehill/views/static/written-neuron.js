// @ts-check
/**
 * A fact written by hand as one new neuron: when it fires and when not, what the model says before
 * and after.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.written-neuron/1, see docs/rooms/facts.md) into `el` and returns its own cleanup. It asks
 * nothing of the network, and every text from the data becomes a text node.
 */

import { clamp, clipped, h, minus, number, rendering, s, sized, small } from "./kit.js";
import { FactPage } from "./facts-live.js";

const render = rendering(() => View);
export default { render };

const SETS = { fitted: "fitted on", held_out: "held out" };

class View extends FactPage {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = `neuron for ${data.certificate.subject}`;
    this.state = { ...this.state, texts: "fitted" };
    this.notice = this.fromHash();
  }

  build() {
    this.mount(this.head(), this.leadOf(this.data.summary), ...this.applying(), this.stage(), this.asked(), this.own(), this.wrong(), this.making(), this.foot());
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
    return { texts: (value) => Object.hasOwn(SETS, value) && this.set("texts", value) };
  }

  resized() {
    const room = Math.floor(this.box.clientWidth);
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  all() {
    this.draw();
    this.drawAsked();
    this.syncControls();
    this.writeHash([`texts=${this.state.texts}`]);
    this.say(() => `Texts ${SETS[this.state.texts]}: fires on something else in ${this.count.false_texts}`);
  }

  get count() {
    return this.data.certificate[this.state.texts];
  }

  head() {
    const { edit, certificate: found, provenance: made } = this.data;
    const fact = edit.facts[0];
    const keys = [["Tab", "the next control"], ["← →", "texts fitted on or held out (choice focused)"], ["?", "this list"], ["Esc", "close it"]];
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, `${clipped(fact.subject, 40)}: ${clipped(fact.object, 40)}`),
        h("p", { class: "sub" }, `one new neuron in layer ${found.layer} · edit ${edit.name} · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds what you see: copy it to come back.")));
  }

  // --- when it fires ----------------------------------------------------------------------------

  stage() {
    this.chart = s("svg", { class: "chart", role: "img" });
    this.box = h("div", { class: "frame" }, this.chart);
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "When it fires"), this.segments("texts", "Texts", SETS), this.exports("matches", () => this.chart, () => this.bins())),
        this.box,
        h("p", { class: "caption" }, "Above the line: tokens of everything else. Below it: places where the subject is complete, the fact's own prompts among them. Across: how far they match, where the subject has 1 on average; right of 0 the neuron fires. Heights by the logarithm of the count. The first bar holds all that match less, too."),
        this.details("As a table", () => this.bins())),
      h("div", { class: "side" }, this.certificate()));
  }

  bins() {
    const { low, high, count } = this.data.bins;
    const wide = (high - low) / count;
    const at = (list, place) => list[place] ?? null;
    return [["from", "to", "everything else", "subject"], ...Array.from({ length: count }, (_, place) => [
      place ? Number((low + place * wide).toFixed(3)) : "below", place < count - 1 ? Number((low + (place + 1) * wide).toFixed(3)) : "above", at(this.count.matches, place), at(this.count.own_matches, place)])];
  }

  draw() {
    const { low, high, count } = this.data.bins;
    const { matches, own_matches: own } = this.count;
    const width = Math.max(220, Math.floor(this.box.clientWidth));
    const pad = { left: 6, right: 6, top: 34 };
    const [up, down] = [150, 92];
    const line = pad.top + up;
    const height = line + down + 62;
    const x = (value) => pad.left + ((clamp(value, low, high) - low) / (high - low)) * (width - pad.left - pad.right);
    const wide = (width - pad.left - pad.right) / count;
    const most = Math.log1p(Math.max(1, ...matches, ...own));
    const bars = (list, kind, room, sign) => list.map((value, place) => {
      if (!value) return "";
      const tall = Math.max(2, (Math.log1p(value) / most) * room);
      const from = low + (place * (high - low)) / count;
      return s("rect", { class: kind, x: pad.left + place * wide + 0.5, y: sign > 0 ? line - tall : line, width: Math.max(1, wide - 1), height: tall },
        s("title", {}, `${value.toLocaleString("en")} at ${place ? `${number(from)} to ${number(from + (high - low) / count)}` : `below ${number(low + (high - low) / count)}`}`));
    });
    const found = this.data.certificate;
    const steps = Array.from({ length: high - low + 1 }, (_, step) => low + step);
    const nearest = this.count.largest;
    const parts = [
      ...bars(matches, "else", up, 1), ...bars(own, "own", down, -1),
      s("line", { class: "zero", x1: x(0), x2: x(0), y1: pad.top - 8, y2: line + down }),
      s("line", { class: "rule", x1: pad.left, x2: width - pad.right, y1: line, y2: line }),
      s("text", { class: "axis", x: x(0), y: pad.top - 16, "text-anchor": "middle" }, "threshold"),
      s("text", { class: "side-name else", x: pad.left, y: 12 }, "everything else"),
      s("text", { class: "side-name own", x: pad.left, y: line + down - 4 }, found.subject.length > 24 ? "the subject" : found.subject),
      ...steps.map((value) => s("text", { class: "axis", x: x(value), y: line + down + 16, "text-anchor": value === low ? "start" : value === high ? "end" : "middle" }, value === low ? `≤ ${number(value).replace(/\.0+$/, "")}` : number(value).replace(/\.0+$/, ""))),
      nearest === null || nearest < low ? "" : s("path", { class: "mark else", d: `M${x(nearest)},${line + 1}l-4,7h8Z` }, s("title", {}, `the largest of anything else: ${number(nearest)}`)),
      s("path", { class: "mark own", d: `M${x(found.smallest_positive)},${line - 1}l-4,-7h8Z` }, s("title", {}, `the smallest of the subject's prompts: ${number(found.smallest_positive)}`)),
      s("text", { class: "axis", x: pad.left, y: height - 24 }, `▴ the largest of anything else: ${nearest === null ? "none" : number(nearest)}`),
      s("text", { class: "axis", x: pad.left, y: height - 6 }, `▾ the smallest of the subject's prompts: ${number(found.smallest_positive)}`),
    ];
    sized(this.chart, width, height);
    this.chart.setAttribute("aria-label", `Matches of texts ${SETS[this.state.texts]}: the subject's smallest ${number(found.smallest_positive)}, the largest of anything else ${nearest === null ? "none" : number(nearest)}, the threshold 0`);
    this.chart.replaceChildren(s("title", {}, "When it fires"), ...parts);
  }

  certificate() {
    const { certificate: found } = this.data;
    const both = [found.fitted, found.held_out];
    const rows = [
      ["texts", (one) => one.texts], ["of them made up", (one) => one.made_up], ["tokens looked at", (one) => one.tokens],
      ["fires on something else in", (one) => one.false_texts], ["the subject stands in", (one) => one.own_texts], ["noticed in", (one) => one.own_fired],
      ["largest match of anything else", (one) => (one.largest === null ? "none" : number(one.largest))],
    ].map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), both.map((one) => h("td", { class: "figure" }, told(value(one))))));
    const head = h("tr", {}, ["", ...Object.values(SETS)].map((name, index) => h("th", { scope: "col", class: index ? "figure" : null }, name)));
    const share = found.exact ? "nothing, exactly" : `at most ${minus(found.elsewhere.toExponential(1))} of the subject's`;
    const entries = [["fires at the subject in", `${found.fired} of ${found.positives} prompts`], ["their matches", `${number(found.smallest_positive)} to ${number(found.largest_positive)}`],
      ["later tokens of them it fires at", told(found.later)], ["coefficient at the subject", number(found.coefficient)], ["coefficient elsewhere", share]];
    return [h("h2", {}, "Certificate: ", h("span", { class: found.clean ? "verdict" : "verdict not" }, found.clean ? "clean" : "not clean")),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Counts" }, h("table", { class: "counts" }, h("thead", {}, head), h("tbody", {}, rows))),
      h("dl", { class: "made" }, entries.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))];
  }

  // --- before and after -------------------------------------------------------------------------

  asked() {
    this.bars = s("svg", { class: "chart", role: "img" });
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "Before and after"), this.exports("prompts", () => this.bars, () => this.prompts())),
      h("div", { class: "frame" }, this.bars),
      h("p", { class: "caption" }, "The probability of the new object: an open ring without the neuron, a full dot with it."),
      this.details("As a table", () => this.prompts()));
  }

  prompts() {
    const names = ["prompt", "object", "probability_before", "probability_after", "first_before", "first_after", "said"];
    return [names.map((name) => name.replace("_", " ")), ...this.data.rows.map((row) => names.map((name) => row[name]))];
  }

  drawAsked() {
    const { rows } = this.data;
    const width = Math.max(220, Math.floor(this.bars.parentElement?.clientWidth ?? 0));
    const [from, to] = [8, width - 118];
    const x = (value) => from + clamp(value ?? 0, 0, 1) * (to - from);
    const parts = rows.map((row, index) => {
      const y = index * 52;
      const prompt = row.prompt.trim();
      const told = row.said ? "said" : `says “${row.first_after}”`;
      return s("g", {},
        s("text", { x: 0, y: y + 15 }, s("title", {}, prompt), tail(prompt, Math.floor((width - 130) / 6.6))),
        s("text", { class: row.said ? "axis" : "bad", x: width, y: y + 15, "text-anchor": "end" }, clipped(told, 20)),
        s("line", { class: "rule", x1: from, x2: to, y1: y + 34, y2: y + 34 }),
        s("line", { class: "moved", x1: x(row.probability_before), x2: x(row.probability_after), y1: y + 34, y2: y + 34 }),
        s("circle", { class: "before", cx: x(row.probability_before), cy: y + 34, r: 4.5 }),
        s("circle", { class: "after", cx: x(row.probability_after), cy: y + 34, r: 4.5 }),
        s("text", { class: "axis", x: width, y: y + 34, dy: "0.35em", "text-anchor": "end" }, `${amount(row.probability_before)} → ${amount(row.probability_after)}`));
    });
    const floor = rows.length * 52;
    const ends = [[0, "0", "start"], [0.5, "0.5", "middle"], [1, "1", "middle"]].map(([value, name, anchor]) => s("text", { class: "axis", x: x(value) - (anchor === "start" ? 4 : 0), y: floor + 10, "text-anchor": anchor }, name));
    sized(this.bars, width, floor + 16);
    this.bars.setAttribute("aria-label", `The new object after ${rows.length} prompts, without and with the neuron`);
    this.bars.replaceChildren(s("title", {}, "Before and after"), ...parts, ...ends);
  }

  // --- where it should not ----------------------------------------------------------------------

  wrong() {
    const { fitted, held_out: held } = this.data.certificate;
    const found = [...fitted.false.map((one) => ({ ...one, set: SETS.fitted })), ...held.false.map((one) => ({ ...one, set: SETS.held_out }))];
    const more = fitted.false_texts + held.false_texts - found.length;
    const near = [[SETS.fitted, fitted], [SETS.held_out, held]].filter(([, one]) => one.largest !== null)
      .map(([name, one]) => ({ set: name, match: one.largest, words: one.nearest }));
    const rows = (list) => h("ol", { class: "texts" }, list.map((one) => h("li", {}, h("span", { class: "value" }, number(one.match)), h("span", { dir: "auto" }, one.words, h("small", {}, ` ${one.set}`)))));
    return h("section", { class: "why" }, h("h2", {}, "Where it fires and should not"),
      ...(found.length ? [rows(found), more > 0 ? small(`and in ${more.toLocaleString("en")} more texts.`) : ""]
        : [h("p", {}, "Nowhere, as far as was looked. The nearest that it came to:"), rows(near)]));
  }

  /** A prompt of one's own, for the model as it came and the one with this neuron. */
  own() {
    const { edit, stack_digests: stack = [] } = this.data;
    return this.trying(edit.facts[0].prompt, () => [...stack, edit.digest], "with this neuron");
  }

  making() {
    const { edit } = this.data;
    const skipped = ["certificates"];
    const say = (value) => {
      if (Array.isArray(value)) return value.map(say).join(", ") || "none";
      if (typeof value === "object" && value !== null) return Object.entries(value).map(([name, one]) => `${name} ${say(one)}`).join(", ");
      return String(value);
    };
    const entries = [["digest", edit.digest.slice(0, 16)], ["made for", `${edit.model} (${edit.fingerprint.slice(0, 12)})`], ["made after", edit.after.length ? edit.after.join(", ") : "no other edit"],
      ...Object.entries(edit.metrics).filter(([name]) => !skipped.includes(name)), ...Object.entries(edit.settings)];
    return h("section", { class: "why" }, h("h2", {}, "How it was made"),
      h("dl", { class: "made" }, entries.map(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, say(value))])));
  }

  foot() {
    return this.footOf(this.data.notes, "written neuron");
  }

  /** @param {number} room */
  signature(room) {
    const fact = this.data.edit.facts[0];
    return [{ text: clipped(`One new neuron in layer ${this.data.certificate.layer}: ${fact.prompt} ${fact.object}`, room) }, ...super.signature(room)];
  }
}

/** @param {any} value */
function told(value) {
  return typeof value === "number" ? value.toLocaleString("en") : String(value);
}

/** A probability with two digits that tell. @param {number | null} value */
function amount(value) {
  if (value === null || value === undefined) return "not finite";
  if (value === 0) return "0";
  if (value >= 0.0995) return value.toFixed(2);
  if (value >= 0.000995) return value.toPrecision(2);
  return minus(value.toExponential(0)).replace("e-", "e−");
}

/** The end of a text: what a prompt asks stands there. @param {string} text @param {number} most */
function tail(text, most) {
  const characters = [...text];
  return characters.length > most ? `…${characters.slice(characters.length - most + 1).join("")}` : text;
}
