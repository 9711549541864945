// @ts-check
/**
 * A text gone on from with features changed, at several strengths beside the unchanged one, and what
 * the next word would be.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.features-steer/1, see docs/rooms/features.md) into `el` and returns its own cleanup. It
 * asks nothing of the network, and every text from the data becomes a text node.
 */

import { Page, adjustable, h, number, percent, s, shown, sized, small } from "./kit.js";

const render = adjustable(() => View, (data) => [
  { name: "how", label: "How", options: { add: "add to it at every token", hold: "hold it at one value", off: "switch it off" } },
  ...(data.asked.inputs.how === "off" ? [] : [{ name: "strength", label: "Strength", min: -6, max: 6, step: 0.25, told: (value) => `${String(value).replace("-", "−")} × ${number(data.feature.unit)}` }]),
  { name: "tokens", label: "Tokens", min: 4, max: 80 },
], 150);
export default { render };

/** Words that have a line of their own. */
const LINES = 8;

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = data.prompt;
    this.notice = this.fromHash();
  }

  build() {
    this.mount(this.head(), this.leadOf(this.data.summary), this.ways(), this.texts(), this.next(), this.foot());
    this.observer = new ResizeObserver(() => this.drawLines());
    this.observer.observe(this.lines.parentElement);
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    this.all();
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  all() {
    this.syncControls();
    this.writeHash([]);
  }

  head() {
    const made = this.data.provenance;
    const help = this.helpOf([["Tab", "the next control or table"], ["?", "this list"], ["Esc", "close it"]], "The address holds the theme.");
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, this.data.prompt), h("p", { class: "sub" }, `${this.data.changes.map((one) => one.told).join(", ")} · ${this.data.features.name} · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  /** The feature's card, and others that are active in the prompt, where the host has them. */
  ways() {
    const { feature, others, features } = this.data;
    if (!feature || !this.opens) return "";
    const inputs = this.data.asked.inputs;
    const more = (others ?? []).filter((one) => one.feature !== feature.number).slice(0, 6);
    return h("section", { class: "ways" },
      h("p", { dir: "auto" }, `Feature ${feature.number}${feature.label ? `: ${feature.label}` : ""} `, this.button("Its card", () => this.open("features.card", { features: features.here, numbers: [feature.number] }))),
      more.length ? h("p", { class: "small" }, "Also active in this text: ", more.map((one) => this.button(`${one.feature} ${one.label}`.trim(), () => this.open("features.steer", { ...inputs, features: features.here, feature: one.feature }), { class: "quiet" }))) : "");
  }

  name(run) {
    return run.strength ? `times ${run.strength}` : "without";
  }

  texts() {
    const rows = this.data.runs.map((run) => h("tr", { class: run.strength ? null : "without" },
      h("th", { scope: "row" }, this.name(run)),
      h("td", { dir: "auto", class: "written" }, h("span", { class: "prompt" }, this.data.prompt), run.text),
      h("td", { class: "figure" }, run.strength ? `${run.alike} of ${run.ids.length}` : "")));
    const head = h("tr", {}, ["", "what is written", "tokens alike"].map((name, index) => h("th", { scope: "col", class: index === 2 ? "figure" : null }, name)));
    return h("section", { class: "side-by-side" },
      h("h2", {}, "Side by side"),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "What is written" }, h("table", {}, h("thead", {}, head), h("tbody", {}, rows))),
      small("Tokens alike: how many are the unchanged text's before the two part."));
  }

  next() {
    this.lines = s("svg", { class: "lines", role: "img" });
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "The next word"), this.exports("next-word", () => this.lines, () => this.rows())),
      h("div", { class: "frame" }, this.lines),
      h("p", { class: "caption" }, `The probability of the ${Math.min(LINES, this.data.words.length)} words that change most, as the first word that is written, by strength; 0 is the unchanged model.`),
      this.table());
  }

  rows() {
    return [["word", ...this.data.runs.map((run) => `strength ${run.strength}`)], ...this.data.words.map((word) => [shown(word.piece), ...word.probabilities])];
  }

  table() {
    const head = h("tr", {}, h("th", { scope: "col" }, "word"), this.data.runs.map((run) => h("th", { scope: "col", class: "figure" }, this.name(run))));
    const rows = this.data.words.map((word, index) => h("tr", {},
      h("th", { scope: "row", dir: "auto" }, h("span", { class: `swatch ${index < LINES ? `c${index + 1}` : "none"}` }), shown(word.piece)),
      word.probabilities.map((value) => h("td", { class: "figure" }, percent(value)))));
    const far = h("tr", {}, h("th", { scope: "row" }, "nats from the unchanged"), this.data.runs.map((run) => h("td", { class: "figure" }, number(run.divergence))));
    return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Probabilities of the next word" }, h("table", {}, h("thead", {}, head), h("tbody", {}, rows, far)));
  }

  drawLines() {
    const width = Math.max(240, Math.floor(this.lines.parentElement.clientWidth));
    if (width === this.room) return;
    this.room = width;
    const height = 260;
    const pad = { left: 40, right: 96, top: 10, bottom: 30 };
    const { runs } = this.data;
    const words = this.data.words.slice(0, LINES);
    const strengths = runs.map((run) => run.strength);
    const [low, high] = [Math.min(...strengths), Math.max(...strengths)];
    const most = Math.max(0.01, ...words.flatMap((word) => word.probabilities));
    const x = (strength) => pad.left + ((strength - low) / (high - low || 1)) * (width - pad.left - pad.right);
    const y = (value) => pad.top + (1 - value / most) * (height - pad.top - pad.bottom);
    const rules = [0, 0.5, 1].map((share) => [
      s("line", { class: "rule", x1: pad.left, x2: width - pad.right, y1: y(share * most), y2: y(share * most) }),
      s("text", { class: "axis", x: pad.left - 6, y: y(share * most), dy: "0.32em", "text-anchor": "end" }, percent(share * most))]);
    const order = runs.map((_, index) => index).sort((a, b) => strengths[a] - strengths[b]);
    const ends = words.map((word, index) => ({ index, at: y(word.probabilities[order[order.length - 1]]) })).sort((a, b) => a.at - b.at);
    for (let place = 1; place < ends.length; place += 1) ends[place].at = Math.max(ends[place].at, ends[place - 1].at + 14);
    // Names that would reach below the axis push the ones above them up.
    for (let place = ends.length - 1, most = height - pad.bottom + 4; place >= 0 && ends[place].at > most; place -= 1, most -= 14) ends[place].at = most;
    const drawn = ends.map(({ index, at }) => {
      const word = words[index];
      const points = order.map((run) => `${x(strengths[run]).toFixed(1)},${y(word.probabilities[run]).toFixed(1)}`).join(" ");
      return s("g", { class: `c${index + 1}` }, s("title", {}, `${shown(word.piece)}: ${word.probabilities.map(percent).join(", ")}`),
        s("polyline", { class: "line", points }),
        order.map((run) => s("circle", { class: "dot", cx: x(strengths[run]), cy: y(word.probabilities[run]), r: 3 })),
        s("text", { x: width - pad.right + 8, y: at, dy: "0.32em" }, shown(word.piece).slice(0, 12)));
    });
    const marks = order.map((run) => s("text", { class: "axis", x: x(strengths[run]), y: height - 12, "text-anchor": "middle" }, String(strengths[run])));
    sized(this.lines, width, height);
    this.lines.setAttribute("aria-label", "Probabilities of the next word by strength");
    this.lines.replaceChildren(...rules.flat(), ...drawn, ...marks);
  }

  foot() {
    return this.footOf(this.data.notes, "steering");
  }
}
