// @ts-check
/**
 * A neuron's card: what its row asks, when it fires, where most, and what its column adds.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.neuron/1, see docs/rooms/facts.md) into `el` and returns its own cleanup. It asks nothing
 * of the network, and every text from the data becomes a text node.
 */

import {
  Page, clamp, clipped, h, minus, number, percent, rendering, s, sentenceCase, shown, signed, sized,
  small,
} from "./kit.js";

const render = rendering(() => View);
export default { render };

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = data.neuron.label;
    this.state = { ...this.state, row: "0", side: "examples" };
    this.notice = this.fromHash();
  }

  build() {
    const firing = this.data.firing ? [this.fires(), this.texts()] : [];
    this.mount(this.head(), this.leadOf(this.data.summary), this.asks(), ...firing, this.adds(), this.foot());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.askBox);
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
    const held = {};
    if (this.data.rows.length > 1) held.row = (value) => ["0", "1"].includes(value) && this.set("row", value);
    if (this.data.firing?.lowest.length) held.side = (value) => ["examples", "lowest"].includes(value) && this.set("side", value);
    return held;
  }

  resized() {
    const room = Math.floor(this.askBox.clientWidth);
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  all() {
    this.drawAsks();
    if (this.data.firing) {
      this.drawFiring();
      this.drawTexts();
    }
    this.drawAdds();
    this.syncControls();
    const { row, side } = this.state;
    this.writeHash([...(this.data.rows.length > 1 ? [`row=${row}`] : []), ...(this.data.firing?.lowest.length ? [`side=${side}`] : [])]);
    this.say(() => `${sentenceCase(this.row.name)}: ${shown(this.row.matched[0]?.piece ?? "")} first`);
  }

  get row() {
    return this.data.rows[Number(this.state.row)];
  }

  head() {
    const { neuron, provenance: made } = this.data;
    const keys = [["Tab", "the next control"], ["← →", "gate row or up row, largest or most negative (choice focused)"], ["?", "this list"], ["Esc", "close it"]];
    return h("header", {},
      h("div", {}, h("h1", {}, sentenceCase(neuron.label)),
        h("p", { class: "sub" }, `${neuron.activation}${neuron.gated ? ", gated" : ""} · layer ${neuron.layer} · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds what you see: copy it to come back.")));
  }

  // --- what it asks ----------------------------------------------------------------------------

  asks() {
    const { rows } = this.data;
    this.askChart = s("svg", { class: "chart", role: "img" });
    this.askBox = h("div", { class: "frame" }, this.askChart);
    this.sources = h("div", {});
    const choice = rows.length > 1 ? this.segments("row", "Row", { 0: "gate row", 1: "up row" }) : "";
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "What its row asks"), choice, this.exports("row", () => this.askChart, () => wordRows(this.row.matched, this.row.opposed))),
        this.askBox, this.caption("Tokens whose own vectors match the row most, and those it is most against"),
        this.details("As a table", () => wordRows(this.row.matched, this.row.opposed))),
      h("div", { class: "side" }, this.sources));
  }

  /** @param {string} what */
  caption(what) {
    return h("p", { class: "caption" }, `${what}, in standard deviations over the vocabulary. The band is what the best of ${this.data.d_vocab.toLocaleString("en")} random numbers would reach: ${number(this.data.chance)}.`);
  }

  drawAsks() {
    const { row } = this;
    wordChart(this.askChart, row.matched, row.opposed, this.data.chance, this.widthOf(this.askChart), `What the ${row.name} asks`);
    const list = (sources, least) => h("ul", { class: "bars" }, sources.map((one) => {
      const bar = h("span", { class: (one.cosine ?? 0) < 0 ? "bar against" : "bar" });
      bar.style.width = `${100 * clamp(Math.abs(one.cosine ?? 0), 0, 1)}%`;
      return h("li", { class: least !== null && Math.abs(one.z ?? 0) < least ? "weak" : null }, h("span", {}, one.label), h("span", { class: "track" }, bar), h("span", { class: "value" }, signed(one.cosine)));
    }));
    const neurons = row.neurons.length
      ? [h("h3", {}, `Earlier neurons that write it, of ${row.neurons_before.toLocaleString("en")}`), list(row.neurons, row.neurons_chance), small(`Cosine of their column with the row. Faint: within ${number(row.neurons_chance)} standard deviations over all of them, which chance reaches.`)]
      : [small("No neuron stands before layer 0.")];
    const heads = row.heads.length
      ? [h("h3", {}, "Heads that can write it"), list(row.heads, null), small(`Cosine of the best direction that each can write; random ones would have ${number(row.head_chance)}.`)]
      : [];
    this.sources.replaceChildren(
      h("h2", {}, `Where the ${row.name} looks`), ...neurons, ...heads,
      h("dl", { class: "figures" }, [["length", number(row.length)], ...(row.bias ? [["bias", number(row.bias)]] : []), ["cosine with its own column", number(row.own_cosine)]]
        .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))));
  }

  // --- when it fires ----------------------------------------------------------------------------

  fires() {
    const { firing } = this.data;
    this.histogram = s("svg", { class: "chart", role: "img" });
    const asked = this.data.neuron.gated ? "gate row · x" : "row · x, bias included";
    const figures = [["tokens", firing.tokens.toLocaleString("en")], ["texts", firing.texts.toLocaleString("en")], ["fires at", percent(firing.fires)],
      ...(this.data.rows[0].bias ? [["without its bias", percent(firing.without_bias)]] : []),
      ...(this.data.neuron.gated ? [["coefficient below nothing", percent(firing.negative)]] : []),
      ["mean match", number(firing.mean)], ["its spread", number(firing.deviation)]];
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "When it fires"), this.exports("firing", () => this.histogram, () => this.bins())),
      h("div", { class: "frame" }, this.histogram),
      h("p", { class: "caption" }, `How many tokens have which ${asked}; heights by their square root. Right of the threshold it fires.`),
      h("dl", { class: "figures" }, figures.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))));
  }

  bins() {
    const { counts, reach } = this.data.firing;
    const wide = (2 * reach) / counts.length;
    return [["from", "to", "tokens"], ...counts.map((count, at) => [at * wide - reach, (at + 1) * wide - reach, count])];
  }

  drawFiring() {
    const { counts, reach } = this.data.firing;
    const middle = counts.length / 2;
    const held = counts.flatMap((count, at) => (count ? [at] : []));
    const first = Math.min(middle - 1, ...held);
    const last = Math.max(middle, ...held) + 1;
    const [width, height] = [this.widthOf(this.histogram), 180];
    const pad = { left: 12, right: 12, top: 20, bottom: 26 };
    const wide = (width - pad.left - pad.right) / (last - first);
    const x = (at) => pad.left + (at - first) * wide;
    const floor = height - pad.bottom;
    const tallest = Math.sqrt(Math.max(1, ...counts));
    const bars = counts.slice(first, last).map((count, index) => {
      const tall = (Math.sqrt(count) / tallest) * (floor - pad.top);
      const at = first + index;
      return s("rect", { class: at < middle ? "less" : "more", x: x(at) + 0.5, y: floor - tall, width: Math.max(1, wide - 1), height: tall }, s("title", {}, `${count.toLocaleString("en")} tokens`));
    });
    const value = (at) => (at * 2 * reach) / counts.length - reach;
    const clear = (at) => Math.abs(x(at) - x(middle)) > 60;
    const marks = [[first, "start"], [last, "end"]].filter(([at]) => clear(at)).map(([at, anchor]) => s("text", { class: "axis", x: x(at), y: height - 8, "text-anchor": anchor }, signed(value(at))));
    const side = x(middle) > width - 90 ? "end" : x(middle) < 90 ? "start" : "middle";
    sized(this.histogram, width, height);
    this.histogram.setAttribute("aria-label", `How far tokens match: ${percent(this.data.firing.fires)} above the threshold`);
    this.histogram.replaceChildren(s("title", {}, "When it fires"), ...bars,
      s("line", { class: "zero", x1: x(middle), x2: x(middle), y1: 14, y2: floor }),
      s("line", { class: "rule", x1: pad.left, x2: width - pad.right, y1: floor, y2: floor }),
      s("text", { class: "axis", x: x(middle), y: 10, "text-anchor": side }, "threshold"),
      s("text", { class: "axis", x: x(middle), y: height - 8, "text-anchor": side }, "0"), ...marks);
  }

  // --- where most -------------------------------------------------------------------------------

  texts() {
    this.list = h("ol", { class: "texts" });
    const choice = this.data.firing.lowest.length ? this.segments("side", "Coefficients", { examples: "largest", lowest: "most negative" }) : "";
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, choice ? "Where its coefficient is" : "Where its coefficient is largest"), choice),
      this.list,
      small("The token in italics, and its neighbours: blue where the column is added, underlined where it is taken off; the deeper, the more. One place of each text, and of texts that read alike up to the token, one."),
      this.details("As a table", () => this.exampleRows()));
  }

  get examples() {
    return this.data.firing[this.state.side];
  }

  exampleRows() {
    return [["text", "token", "coefficient", "match", "before"], ...this.examples.map((one) => [one.text, one.pieces[one.at], one.coefficient, one.asked, one.pieces.slice(0, one.at).join("").replaceAll("·", " ")])];
  }

  drawTexts() {
    const all = [...this.data.firing.examples, ...this.data.firing.lowest];
    const largest = Math.max(1e-9, ...all.map((one) => Math.abs(one.coefficient ?? 0)));
    const lines = this.examples.map((one) => {
      const spaced = one.pieces.some((piece) => piece.startsWith("·"));
      const tokens = one.pieces.map((piece, at) => {
        const weight = (one.coefficients[at] ?? 0) / largest;
        const begins = spaced ? piece.startsWith("·") && piece.length > 1 : at > 0 && !piece.startsWith("##");
        const bare = begins && spaced ? piece.slice(1) : piece.replace(/^##/, "");
        const token = h("span", { class: `token${weight < 0 ? " back" : ""}${at === one.at ? " itself" : ""}`, title: minus(String(one.coefficients[at])) }, bare);
        token.style.setProperty("--weight", `${(55 * Math.min(1, Math.abs(weight))).toFixed(1)}%`);
        return [begins && at ? " " : "", token];
      });
      return h("li", {}, h("span", { class: "value" }, signed(one.coefficient)), h("span", { class: "c1", dir: "auto" }, tokens));
    });
    this.list.replaceChildren(...(lines.length ? lines : [h("li", {}, h("span", { class: "value" }, ""), h("span", {}, "Nowhere in these texts."))]));
  }

  // --- what it adds ------------------------------------------------------------------------------

  adds() {
    const { column } = this.data;
    this.addChart = s("svg", { class: "chart", role: "img" });
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "What its column adds"), this.exports("column", () => this.addChart, () => wordRows(column.promoted, column.demoted))),
      h("div", { class: "frame" }, this.addChart),
      this.caption(`Words that the column ${column.through_head ? "promotes and demotes" : "is nearest to and farthest from"} by itself`),
      h("dl", { class: "figures" }, h("div", {}, h("dt", {}, "length"), h("dd", {}, number(column.length)))),
      this.details("As a table", () => wordRows(column.promoted, column.demoted)));
  }

  drawAdds() {
    const { column, chance } = this.data;
    wordChart(this.addChart, column.promoted, column.demoted, chance, this.widthOf(this.addChart), "What the column adds");
  }

  /** @param {Element} figure */
  widthOf(figure) {
    return Math.max(220, Math.floor(figure.parentElement?.clientWidth ?? 0));
  }

  foot() {
    return this.footOf(this.data.notes, "neuron");
  }
}

/** @param {any[]} high @param {any[]} low */
function wordRows(high, low) {
  return [["token", "piece", "score", "z"], ...[...high, ...[...low].reverse()].map((one) => [one.token, one.piece, one.score, one.z])];
}

/**
 * Words as bars to both sides of nothing, with the band that chance reaches.
 * @param {SVGElement} figure @param {any[]} high @param {any[]} low @param {number} chance
 * @param {number} width @param {string} title
 */
function wordChart(figure, high, low, chance, width, title) {
  const words = [...high, ...[...low].reverse()];
  const tall = 20;
  const names = Math.min(150, Math.round(width * 0.34));
  const room = width - names - 52;
  const ends = words.map((one) => one.z ?? 0);
  const [least, most] = [Math.min(-chance, ...ends), Math.max(chance, ...ends)];
  const x = (value) => names + ((value - least) / (most - least || 1)) * room;
  const height = words.length * tall + 4;
  sized(figure, width, height);
  const rows = words.map((one, index) => {
    const [from, to] = [x(Math.min(0, one.z ?? 0)), x(Math.max(0, one.z ?? 0))];
    const y = index * tall + 2;
    return s("g", {},
      s("text", { x: names - 10, y: y + tall / 2, dy: "0.35em", "text-anchor": "end" }, s("title", {}, one.piece), clipped(shown(one.piece), Math.floor((names - 10) / 7))),
      s("rect", { class: (one.z ?? 0) < 0 ? "less" : "more", x: from, y: y + 4, width: Math.max(1, to - from), height: tall - 8, rx: 2 }),
      s("text", { x: width, y: y + tall / 2, dy: "0.35em", "text-anchor": "end" }, signed(one.z)));
  });
  figure.setAttribute("aria-label", title);
  figure.replaceChildren(s("title", {}, title),
    s("rect", { class: "band", x: x(-chance), y: 0, width: x(chance) - x(-chance), height }), ...rows,
    s("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: height }));
}
