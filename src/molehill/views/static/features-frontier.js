// @ts-check
/**
 * Autoencoders scored: what each keeps of the model against how many features it uses, how dense its
 * features are, and what it has found of a known truth.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.feature-scores/1, see docs/rooms/views.md) into `el` and returns its own cleanup. It asks
 * nothing of the network, and every text from the data becomes a text node.
 */

import { Page, clamp, colour, h, minus, number, percent, rendering, s, shape, sized, small } from "./kit.js";

const render = rendering(() => View);
export default { render };

const [LEFT, RIGHT, TOP, BOTTOM] = [58, 20, 16, 42];
const SHOWN = { explained_variance: "explained variance", ce_loss_score: "loss recovered", frac_alive: "alive" };

/** @param {number} value */
const whole = (value) => Math.round(value).toLocaleString("en-US");

/** Four digits after the point, or none. @param {number | null | undefined} value */
const exact = (value) => (value === null || value === undefined ? "none" : minus(value.toFixed(4)));

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = `features ${data.provenance.model}`;
    this.all_ = data.autoencoders;
    this.kinds = Object.fromEntries(Object.entries(SHOWN).filter(([name]) => this.all_.some((one) => one[name] !== null)));
    this.state = { ...this.state, show: "explained_variance", at: 0 };
    this.over = null;
    this.notice = this.fromHash();
  }

  build() {
    this.mount(this.head(), this.leadOf(this.data.summary), this.stage(), this.truth(), this.senses(), this.foot());
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
    return {
      show: (value) => Object.hasOwn(this.kinds, value) && this.set("show", value),
      at: (value) => this.take("at", value, 0, this.all_.length - 1),
    };
  }

  resized() {
    const room = Math.max(260, Math.floor(this.box.clientWidth));
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  all() {
    this.drawCurve();
    this.drawRead();
    this.syncControls();
    this.writeHash([`show=${this.state.show}`, `at=${this.state.at}`]);
    const one = this.one();
    this.say(() => `${one.name}: ${one.l0.toFixed(1)} active features, ${this.kinds[this.state.show]} ${exact(one[this.state.show])}.`);
  }

  /** The autoencoder that is read. */
  one() {
    return this.all_[this.over ?? this.state.at];
  }

  head() {
    const help = this.helpOf([["← →", "the one before or after (chart focused)"], ["Home End", "first or last"], ["?", "this list"], ["Esc", "close it"]],
      "Point at a mark to read it, click to stay there. The address holds what you see: copy it to come back.");
    return h("header", {},
      h("div", {}, h("h1", {}, "Features, scored"), h("p", { class: "sub" }, `${this.data.provenance.model} · ${this.data.texts}`)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  stage() {
    this.figure = s("svg", { class: "plot", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight Home End" });
    this.box = h("div", { class: "frame" }, this.figure);
    this.read = h("section", { class: "told", "aria-label": "The autoencoder that is read" });
    this.on(this.figure, "pointermove", (event) => this.look(event));
    this.on(this.figure, "pointerleave", () => this.leave());
    this.on(this.figure, "click", () => this.over !== null && this.change({ at: this.over }));
    this.on(this.figure, "keydown", (event) => this.key(event));
    const keys = this.data.series.map((one, index) => h("span", { class: "key" },
      s("svg", { class: `marker ${colour(index + 1)}`, viewBox: "-8 -8 16 16", width: 16, height: 16, "aria-hidden": "true" }, s("path", { d: shape(index, 5) })), ` ${one.name}`));
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "What is kept, against how many features are active"), this.exports("frontier", () => this.figure, () => this.cells())),
        h("div", { class: "choices" }, this.segments("show", "What is kept", this.kinds)),
        this.box,
        h("p", { class: "caption keys" }, keys, h("span", {}, "Higher is better; further left is sparser. Compare whole curves, never one point.")),
        this.details("Every score as a table", () => this.cells())),
      h("div", { class: "side" }, this.read));
  }

  cells() {
    const groups = this.all_[0].saebench;
    const names = Object.entries(groups).flatMap(([group, values]) => Object.keys(values).map((name) => [group, name]));
    return [["mark", "name", "file", "architecture", "features", "place", ...names.map(([, name]) => name), "recovered_from_mean"],
      ...this.all_.map((one) => [one.mark, one.name, one.file, one.architecture, one.features, one.place, ...names.map(([group, name]) => one.saebench[group]?.[name] ?? null), one.recovered_from_mean])];
  }

  drawCurve() {
    const [width, height] = [this.room, clamp(Math.round(this.room * 0.6), 280, 420)];
    sized(this.figure, width, height);
    const name = this.state.show;
    const logs = this.all_.map((one) => Math.log2(Math.max(one.l0, 0.01)));
    let [first, last] = [Math.min(...logs), Math.max(...logs)];
    if (last - first < 1) [first, last] = [first - 0.5, last + 0.5];
    const values = this.all_.map((one) => one[name]).filter((value) => value !== null);
    const spread = Math.max(Math.max(...values) - Math.min(...values), 0.01);
    const low = Math.min(...values) - 0.08 * spread;
    const high = Math.min(Math.max(1, ...values), Math.max(...values) + 0.08 * spread);
    const x = (l0) => LEFT + ((Math.log2(Math.max(l0, 0.01)) - first) / (last - first)) * (width - LEFT - RIGHT - 12) + 6;
    const y = (value) => TOP + ((high - value) / (high - low)) * (height - TOP - BOTTOM);
    this.places = this.all_.map((one) => [x(one.l0), y(one[name] ?? low)]);
    const grid = [];
    for (let power = Math.ceil(first); power <= last; power += 1) {
      const at = x(2 ** power);
      grid.push(s("line", { class: "rule", x1: at, x2: at, y1: TOP, y2: height - BOTTOM }), s("text", { class: "axis", x: at, y: height - BOTTOM + 16, "text-anchor": "middle" }, String(2 ** power)));
    }
    for (let step = 0; step <= 4; step += 1) {
      const value = low + ((high - low) * step) / 4;
      grid.push(s("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }), s("text", { class: "axis", x: LEFT - 8, y: y(value), dy: "0.35em", "text-anchor": "end" }, minus(value.toFixed(high - low < 0.05 ? 4 : 3))));
    }
    grid.push(s("text", { class: "axis", x: (LEFT + width - RIGHT) / 2, y: height - 6, "text-anchor": "middle" }, "active features in a row (L0)"));
    const lines = this.data.series.map((one, index) => {
      const points = one.points.filter((point) => this.all_[point][name] !== null);
      const path = points.map((point, order) => `${order ? "L" : "M"}${this.places[point].map((value) => value.toFixed(1)).join(",")}`).join("");
      return [s("path", { class: `line ${colour(index + 1)}`, d: path }), ...points.map((point) => s("path", { class: `dot ${colour(index + 1)}`, d: shape(index, 5), transform: `translate(${this.places[point].map((value) => value.toFixed(1)).join(",")})` },
        s("title", {}, `${this.all_[point].name}: ${this.all_[point].l0.toFixed(1)} active, ${this.kinds[name]} ${exact(this.all_[point][name])}`)))];
    });
    this.ring = s("circle", { class: "here", r: 9 });
    this.figure.replaceChildren(s("title", {}, "What is kept against active features"), ...grid, ...lines.flat(), this.ring);
    this.figure.setAttribute("aria-label", `${this.kinds[name]} against active features, ${this.all_.length} autoencoders`);
    this.moveRing();
  }

  moveRing() {
    const [x, y] = this.places[this.over ?? this.state.at];
    this.ring.setAttribute("cx", String(x));
    this.ring.setAttribute("cy", String(y));
  }

  drawRead() {
    const one = this.one();
    const bench = one.saebench;
    const { reconstruction_quality: kept, shrinkage, misc_metrics: misc } = bench;
    const loss = bench.model_performance_preservation;
    const rows = [["active in a row (L0)", one.l0.toFixed(1)], ["explained variance", exact(one.explained_variance)], ["mean cosine", exact(kept.cossim)],
      ["length kept", exact(shrinkage.l2_ratio)], ["alive", percent(one.frac_alive)], ["active in over 1% of rows", percent(misc.freq_over_1_percent)], ["nearest other direction, mean cosine", exact(misc.average_max_decoder_cosine_sim)]];
    if (loss) rows.push(["loss recovered", exact(one.ce_loss_score)], ["the same from the mean", exact(one.recovered_from_mean)], ["divergence recovered", exact(bench.model_behavior_preservation.kl_div_score)],
      ["cross-entropy of the model", number(loss.ce_loss_without_sae)], ["with its reconstruction", number(loss.ce_loss_with_sae)], ["with zeros", number(loss.ce_loss_with_ablation)]);
    this.read.replaceChildren(
      h("h2", { dir: "auto" }, one.name),
      small(`${whole(one.features)} features by ${one.architecture} at ${one.place}${one.trained_rows ? `, learnt from ${whole(one.trained_rows)} vectors` : ""}; scored on ${whole(one.rows)} vectors and ${whole(one.predictions)} predictions; left out: ${one.left_out}.`),
      h("dl", { class: "pairs" }, rows.map(([name, told]) => [h("dt", {}, name), h("dd", {}, told)])),
      h("h3", {}, "How often its features are active"), this.densities(one));
  }

  /** A histogram over powers of ten. @param {any} one */
  densities(one) {
    const { edges, counts } = one.density;
    const [width, height, foot] = [280, 96, 18];
    const most = Math.max(1, ...counts);
    const x = (edge) => ((edge - edges[0]) / (edges[edges.length - 1] - edges[0])) * width;
    const bars = counts.map((count, index) => s("rect", { class: "more", x: x(edges[index]) + 0.5, width: Math.max(1, x(edges[index + 1]) - x(edges[index]) - 1), y: height - (count / most) * height, height: (count / most) * height },
      s("title", {}, `${whole(count)} features`)));
    const marks = [-6, -4, -2, 0].map((power) => s("text", { class: "axis", x: x(power), y: height + 14, "text-anchor": power === -6 ? "start" : power ? "middle" : "end" }, { 0: "always", "-2": "1%", "-4": "0.01%", "-6": "10⁻⁶" }[power]));
    return s("svg", { width, height: height + foot, viewBox: `0 0 ${width} ${height + foot}`, role: "img", "aria-label": "How many features are active how often" }, bars, marks);
  }

  /** What was found of a known truth. */
  truth() {
    const told = this.all_.filter((one) => one.truth);
    if (!told.length) return null;
    const kinds = Object.keys(told[0].truth.used.by_kind);
    const cell = (found, there) => h("td", { class: "figure" }, percent(found), there === undefined ? "" : h("small", {}, ` of ${percent(there)}`));
    const rows = told.map((one) => h("tr", {}, h("th", { scope: "row" }, `${one.mark} ${one.name}`), cell(one.truth.used.found, one.truth.used.ceiling),
      kinds.map((kind) => cell(one.truth.used.by_kind[kind].found, one.truth.used.by_kind[kind].ceiling))));
    const deep = told.map((one) => {
      const { directions, probes } = one.truth;
      return h("tr", {}, h("th", { scope: "row" }, `${one.mark} ${one.name}`), [directions?.effects?.recall, directions?.effects?.mmcs, directions?.effects?.mmcs_back, one.truth.mean_num_split_features, one.truth.mean_full_absorption_score, probes?.sae_top_1_test_accuracy, probes?.sae_top_5_test_accuracy, probes?.llm_test_accuracy, probes?.shuffled_top_5].map((value) => h("td", { class: "figure" }, exact(value))));
    });
    const table = (label, heads, body) => h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((name, index) => h("th", { scope: "col", class: index ? "figure" : null }, name)))), h("tbody", {}, body)));
    return h("section", { class: "why" }, h("h2", {}, "Against the truth"),
      h("p", { class: "caption" }, "The share of true features that one learnt feature tells with F1 over 0.9, at the words where they are used; and, after “of”, the share that a linear probe on the vectors can tell: what is there to find."),
      table("True features found", ["", "all", ...kinds], rows),
      h("p", { class: "caption" }, "Directions against estimated ones (recall at cosine over 0.9, mean best cosine both ways), learnt features for a true one, the share of its rows where others absorb it, and senses told from the best features, from the raw vector, and with shuffled labels."),
      table("Directions, splitting, probes", ["", "recall", "MMCS", "back", "split", "absorbed", "top 1", "top 5", "raw", "shuffled"], deep));
  }

  /** Words whose senses were told from the best features. */
  senses() {
    const names = ["sae_top_1_test_accuracy", "sae_top_2_test_accuracy", "sae_top_5_test_accuracy", "llm_test_accuracy", "shuffled_top_5", "larger_class"];
    const rows = this.all_.flatMap((one) => one.senses.map((word) => h("tr", {}, h("th", { scope: "row" }, `${one.mark} ${word.word}`), names.map((name) => h("td", { class: "figure" }, exact(word[name]))))));
    if (!rows.length) return null;
    const heads = ["", "top 1", "top 2", "top 5", "raw", "shuffled", "larger class"];
    return h("section", { class: "why" }, h("h2", {}, "Senses told by the best features at the word"),
      h("p", { class: "caption" }, "Accuracy on test uses, each sense against the others, mean over senses; beside it from the raw vector, with shuffled labels, and always saying the larger class."),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Senses told" }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((name, index) => h("th", { scope: "col", class: index ? "figure" : null }, name)))), h("tbody", {}, rows))));
  }

  /** @param {PointerEvent} event */
  look(event) {
    const box = this.figure.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const far = this.places.map(([a, b]) => (a - x) ** 2 + (b - y) ** 2);
    this.over = far.indexOf(Math.min(...far));
    this.follow();
  }

  leave() {
    this.over = null;
    this.follow();
  }

  follow() {
    this.moveRing();
    this.drawRead();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const last = this.all_.length - 1;
    const to = { ArrowLeft: this.state.at - 1, ArrowRight: this.state.at + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.over = null;
    this.change({ at: clamp(to, 0, last) });
  }

  signature() {
    const made = this.data.provenance;
    return [{ text: this.data.summary[0] }, { text: `Molehill ${made.version}, ${made.model} ${made.fingerprint.slice(0, 12)}, ${this.data.texts}` }];
  }

  foot() {
    return this.footOf(this.data.notes, "scores");
  }
}
