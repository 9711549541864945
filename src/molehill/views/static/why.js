// @ts-check
/**
 * Why a head attended from one token to another: all heads by how much they did, and one head's
 * score as the sum of what asked, of what answered, and of their pairs.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.why/1, see docs/howto/ledger.md) into `el` and returns its own cleanup. It asks nothing
 * of the network, and every text from the data becomes a text node.
 */

import {
  Page, barChart, clamp, clipped, h, number, percent, quoted, rendering, rowCells, rowTable, s,
  scientific, sentenceCase, shaded, short, shown, signed, sized, small,
} from "./kit.js";

const render = rendering(() => View);
export default { render };

const AXES = { component: "component", source: "source word", head: "head" };
const SIDES = { query: "what asked", key: "what answered" };
const BARS = 14;

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.chosen = data.chosen;
    this.subject = `${data.query.piece} ${data.key.piece}`;
    this.weights = new Map(data.heads.map((one) => [one.layer * data.heads_per_layer + one.head, one]));
    const first = this.chosen ?? data.heads[0];
    this.state = { ...this.state, head: first.layer * data.heads_per_layer + first.head, by: "component", side: "query", row: 0, column: 0 };
    if (this.chosen) Object.assign(this.state, this.largestCell());
    this.notice = this.fromHash();
  }

  /** The cell of the grid that is looked at first. */
  largestCell() {
    const { values, query, key } = this.chosen.grid;
    let best = { row: 0, column: 0 };
    // What all others add up to is no one part: it is not looked at first.
    values.slice(0, query.length).forEach((line, row) => line.slice(0, key.length).forEach((value, column) => {
      if (Math.abs(value ?? 0) > Math.abs(values[best.row]?.[best.column] ?? 0)) best = { row, column };
    }));
    return best;
  }

  build() {
    const parts = [this.head(), this.leadOf(this.data.summary), this.stage(), ...(this.chosen ? [this.meeting(), this.sides()] : []), this.foot()];
    this.mount(...parts);
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.around);
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
    const { layers, heads_per_layer: heads } = this.data;
    const held = { head: (value) => this.take("head", value, 0, layers * heads - 1) };
    if (!this.chosen) return held;
    const { values } = this.chosen.grid;
    return {
      ...held,
      by: (value) => Object.hasOwn(AXES, value) && this.set("by", value),
      side: (value) => Object.hasOwn(SIDES, value) && this.set("side", value),
      row: (value) => this.take("row", value, 0, values.length - 1),
      column: (value) => this.take("column", value, 0, values[0].length - 1),
    };
  }

  resized() {
    const room = Math.max(220, Math.floor(this.around.clientWidth));
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  all() {
    this.drawHeads();
    if (this.chosen) {
      this.drawGrid();
      this.drawSide();
    }
    this.syncControls();
    const { head, by, side, row, column } = this.state;
    this.writeHash([`head=${head}`, ...(this.chosen ? [`by=${by}`, `side=${side}`, `row=${row}`, `column=${column}`] : [])]);
    this.say(() => this.headNote.textContent);
  }

  head() {
    const made = this.data.provenance;
    const [query, key] = [this.data.query.piece, this.data.key.piece];
    const help = this.helpOf([["← → ↑ ↓", "head to head, cell to cell (picture focused)"], ["?", "this list"], ["Esc", "close it"]], "The address holds what you see: copy it to come back.");
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, clipped(`${shown(query)} → ${shown(key)}`, 60)),
        h("p", { class: "sub" }, `why ${this.chosen ? `head ${this.chosen.layer}.${this.chosen.head}` : "heads"} attended from ${quoted(query)} to ${quoted(key)} · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  // --- all heads -----------------------------------------------------------------------------------

  stage() {
    this.heads = s("svg", { class: "heads", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown" });
    this.around = h("div", { class: "frame scroll" }, this.heads);
    this.on(this.around, "scroll", () => this.stick(this.around, this.headNames));
    this.headNote = h("p", { class: "told" });
    this.on(this.heads, "click", (event) => {
      const box = this.heads.getBoundingClientRect();
      const { cell, tall, left, top } = this.scale;
      const layer = clamp(Math.floor((event.clientX - box.left - left) / cell), 0, this.data.layers - 1);
      const head = clamp(Math.floor((event.clientY - box.top - top) / tall), 0, this.data.heads_per_layer - 1);
      this.change({ head: layer * this.data.heads_per_layer + head });
    });
    this.on(this.heads, "keydown", (event) => this.step(event, "ArrowUp ArrowDown", "ArrowLeft ArrowRight", (down, across) => {
      const { layers, heads_per_layer: heads } = this.data;
      const layer = clamp(Math.floor(this.state.head / heads) + across, 0, layers - 1);
      this.change({ head: layer * heads + clamp((this.state.head % heads) + down, 0, heads - 1) });
    }));
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "All heads"), this.exports("heads", () => this.upright(this.around, this.heads, this.headNames), () => this.headRows())),
        this.around, this.headNote,
        h("p", { class: "caption" }, "Each cell: one head, layers from left to right. The deeper the colour, the more of its attention goes this way."),
        this.details("All heads as a table", () => this.headRows())),
      h("div", { class: "side" }, this.looks()));
  }

  /** Where the chosen head looks; without one, the heads that look this way most. */
  looks() {
    if (!this.chosen) {
      const best = this.data.heads.slice(0, 12);
      const bars = best.map((one) => {
        const bar = h("span", { class: "bar" });
        bar.style.width = `${100 * (one.weight ?? 0)}%`;
        return h("li", {}, h("span", {}, `head ${one.layer}.${one.head}`), h("span", { class: "track" }, bar), h("span", { class: "value" }, percent(one.weight)));
      });
      return [h("h2", {}, "Heads that attend this way most"), h("ul", { class: "bars" }, bars), small("Take one apart with --layer and --head.")];
    }
    const { attention, layer, head, score, weight, sums, closing_error: error } = this.chosen;
    const figures = [["score", number(score)], ["attention", percent(weight)], ["from the query's rows", number(sums.query)], ["from the key's rows", number(sums.key)], ["from the pairs", number(sums.pairs)], ["closing error", scientific(error)]];
    return [
      h("h2", {}, `Where head ${layer}.${head} looks from ${quoted(this.data.query.piece)}`),
      shaded(attention.map((one) => one.piece), attention.map((one) => one.weight), [this.data.query.position], percent),
      h("dl", { class: "figures" }, figures.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    ];
  }

  drawHeads() {
    const { layers, heads_per_layer: heads } = this.data;
    const [left, top] = [34, 4];
    const cell = clamp(Math.floor((this.room - left - 2) / layers), 14, 44);
    const tall = clamp(Math.round(cell * 0.9), 14, 26);
    this.scale = { cell, tall, left, top };
    const [width, height] = [left + cell * layers + 2, top + tall * heads + 34];
    sized(this.heads, width, height);
    const cells = [...this.weights].map(([place, one]) => {
      const [x, y] = [left + one.layer * cell, top + one.head * tall];
      return s("rect", { class: place === this.state.head ? "cell chosen" : "cell", x: x + 1, y: y + 1, width: cell - 2, height: tall - 2, rx: 2, "fill-opacity": (0.04 + 0.96 * (one.weight ?? 0)).toFixed(3) },
        s("title", {}, `head ${one.layer}.${one.head}: ${percent(one.weight)}`));
    });
    const every = Math.max(1, Math.ceil(22 / cell));
    const names = [
      ...Array.from({ length: layers }, (_, layer) => (layer % every ? null : s("text", { class: "axis", x: left + (layer + 0.5) * cell, y: height - 18, "text-anchor": "middle" }, String(layer)))),
      s("text", { class: "axis", x: left + (layers * cell) / 2, y: height - 3, "text-anchor": "middle" }, "layer"),
    ];
    this.headNames = s("g", {}, s("rect", { class: "cover", width: left, height }),
      Array.from({ length: heads }, (_, head) => (tall < 12 && head % 4 ? null : s("text", { class: "axis", x: left - 8, y: top + (head + 0.5) * tall, dy: "0.35em", "text-anchor": "end" }, String(head)))),
      s("text", { class: "axis", x: left - 2, y: height - 3, "text-anchor": "end" }, "head"));
    const one = this.weights.get(this.state.head);
    this.headNote.replaceChildren(...(one ? [h("b", {}, `Head ${one.layer}.${one.head}`), ` gives ${quoted(this.data.key.piece)} ${percent(one.weight)} of its attention, ${one.place === 0 ? "more than any other token" : `${one.place === 1 ? "one token gets" : `${one.place} tokens get`} more`}.`] : []));
    this.heads.setAttribute("aria-label", `Attention of all heads from ${quoted(this.data.query.piece)} to ${quoted(this.data.key.piece)}`);
    this.heads.replaceChildren(s("title", {}, "Attention by head"), ...cells, ...names.filter(Boolean), this.headNames);
    this.bring(this.around, left + Math.floor(this.state.head / heads) * cell, cell, left);
    this.stick(this.around, this.headNames);
  }

  /** @param {KeyboardEvent} event @param {string} rows @param {string} columns @param {(down: number, across: number) => void} act */
  step(event, rows, columns, act) {
    const [up, down] = rows.split(" ");
    const [back, on] = columns.split(" ");
    const moves = { [up]: [-1, 0], [down]: [1, 0], [back]: [0, -1], [on]: [0, 1] };
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act(move[0], move[1]);
  }

  /** A picture for keeping: the names of its rows where they belong. @param {HTMLElement} box @param {SVGElement} figure @param {Element} names */
  upright(box, figure, names) {
    box.scrollLeft = 0;
    this.stick(box, names);
    return figure;
  }

  headRows() {
    return [["layer", "head", "attention", "tokens that get more"], ...this.data.heads.map((one) => [one.layer, one.head, one.weight, one.place])];
  }

  // --- pairs ---------------------------------------------------------------------------------------

  meeting() {
    this.grid = s("svg", { class: "pairs", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown" });
    this.gridBox = h("div", { class: "frame scroll" }, this.grid);
    this.on(this.gridBox, "scroll", () => this.stick(this.gridBox, this.gridNames));
    this.gridNote = h("p", { class: "told" });
    this.on(this.grid, "click", (event) => {
      const box = this.grid.getBoundingClientRect();
      const { cell, tall, left, top } = this.gridScale;
      this.change({
        column: clamp(Math.floor((event.clientX - box.left - left) / cell), 0, this.columnNames.length - 1),
        row: clamp(Math.floor((event.clientY - box.top - top) / tall), 0, this.rowNames.length - 1),
      });
    });
    this.on(this.grid, "keydown", (event) => this.step(event, "ArrowUp ArrowDown", "ArrowLeft ArrowRight", (down, across) => this.change({
      row: clamp(this.state.row + down, 0, this.rowNames.length - 1), column: clamp(this.state.column + across, 0, this.columnNames.length - 1),
    })));
    const { entries, rest, rest_count: count } = this.chosen.pairs;
    const list = entries.slice(0, 12).map((one) => h("tr", {}, h("td", {}, one.query), h("td", {}, one.key), h("td", { class: "figure" }, signed(one.value))));
    const left = count + Math.max(0, entries.length - 12);
    const together = rest + entries.slice(12).reduce((sum, one) => sum + (one.value ?? 0), 0);
    const [query, key] = [quoted(this.data.query.piece), quoted(this.data.key.piece)];
    return h("section", { class: "apart" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "What asked, what answered"), this.exports("pairs", () => this.upright(this.gridBox, this.grid, this.gridNames), () => this.gridRows())),
        this.gridBox, this.gridNote,
        h("p", { class: "caption" }, `Rows: parts of ${query}, which ask. Columns: parts of ${key}, which answer. Blue raises the score, orange lowers it; all cells add up to it.`),
        this.details("The grid as a table", () => this.gridRows())),
      h("div", { class: "side" },
        h("h2", {}, "Largest pairs"),
        h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Largest pairs" },
          h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "asks"), h("th", { scope: "col" }, "answers"), h("th", { scope: "col", class: "figure" }, "value"))), h("tbody", {}, list))),
        left ? small(`Not listed: ${left.toLocaleString("en")} more, together ${signed(together)}.`) : ""));
  }

  get rowNames() {
    const { query, query_others: others } = this.chosen.grid;
    return others ? [...query, `${others} others`] : query;
  }

  get columnNames() {
    const { key, key_others: others } = this.chosen.grid;
    return others ? [...key, `${others} others`] : key;
  }

  drawGrid() {
    const { values } = this.chosen.grid;
    const [rows, columns] = [this.rowNames, this.columnNames];
    const [left, top, right] = [78, 66, 26];
    const cell = clamp(Math.floor((this.room - left - right) / columns.length), 24, 48);
    const tall = 24;
    this.gridScale = { cell, tall, left, top };
    const largest = Math.max(1e-9, ...values.flat().map((value) => Math.abs(value ?? 0)));
    sized(this.grid, left + cell * columns.length + right, top + tall * rows.length + 2);
    const cells = values.flatMap((line, row) => line.map((value, column) => {
      const [x, y] = [left + column * cell, top + row * tall];
      const chosen = row === this.state.row && column === this.state.column;
      return s("g", { class: chosen ? "cell chosen" : "cell" },
        s("rect", { class: (value ?? 0) < 0 ? "less" : "more", x: x + 1, y: y + 1, width: cell - 2, height: tall - 2, rx: 2, "fill-opacity": (0.03 + 0.5 * (Math.abs(value ?? 0) / largest) ** 0.7).toFixed(3) }),
        cell >= 34 && Math.abs(value ?? 0) >= largest * 0.1 ? s("text", { x: x + cell / 2, y: y + tall / 2, dy: "0.35em", "text-anchor": "middle" }, number(value)) : null);
    }));
    this.gridNames = s("g", {}, s("rect", { class: "cover", width: left, height: top + tall * rows.length + 2 }),
      rows.map((name, row) => s("text", { class: `axis${row === this.state.row ? " chosen" : ""}`, x: left - 8, y: top + (row + 0.5) * tall, dy: "0.35em", "text-anchor": "end" }, clipped(short(name), 11))));
    const names = [
      ...columns.map((name, column) => s("text", { class: `axis${column === this.state.column ? " chosen" : ""}`, transform: `translate(${left + (column + 0.5) * cell + 4},${top - 6}) rotate(-60)` }, clipped(short(name), 11))),
    ];
    const { row, column } = this.state;
    const value = values[row]?.[column];
    this.gridNote.replaceChildren(h("b", {}, signed(value)), ` from what ${rows[row]} asked and ${columns[column]} answered.`);
    this.grid.setAttribute("aria-label", `Score by pairs of parts: ${this.gridNote.textContent}`);
    this.grid.replaceChildren(s("title", {}, "Score by pairs of parts"), ...cells, ...names, this.gridNames);
    this.bring(this.gridBox, left + this.state.column * cell, cell, left);
    this.stick(this.gridBox, this.gridNames);
  }

  gridRows() {
    const { values } = this.chosen.grid;
    return [["asks", ...this.columnNames], ...this.rowNames.map((name, row) => [name, ...values[row]])];
  }

  // --- one side ------------------------------------------------------------------------------------

  sides() {
    this.sideChart = s("svg", { class: "sums", role: "img" });
    this.sideRest = h("p", { class: "caption" });
    this.sideTable = h("div", {});
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "One side alone"), this.exports("side", () => this.sideChart, () => rowCells(this.side.rows))),
      h("div", { class: "choose" }, this.segments("side", "Side", SIDES), this.segments("by", "Added up by", AXES)),
      h("div", { class: "frame" }, this.sideChart), this.sideRest,
      h("h3", {}, "Largest single rows"), this.sideTable);
  }

  get side() {
    return this.chosen[this.state.side];
  }

  drawSide() {
    const { entries, rest, rest_count: count } = this.side.groups[this.state.by];
    const drawn = entries.slice(0, BARS);
    const [what, piece] = [SIDES[this.state.side], quoted(this.data[this.state.side].piece)];
    barChart(this.sideChart, drawn, Math.max(220, Math.floor(this.sideChart.parentElement.clientWidth)), `${sentenceCase(what)} in ${piece}, by ${AXES[this.state.by]}`);
    const more = count + entries.length - drawn.length;
    const together = rest + entries.slice(BARS).reduce((sum, one) => sum + (one.value ?? 0), 0);
    this.sideRest.textContent = `${sentenceCase(what)}, in ${piece}: ${this.side.rows_count.toLocaleString("en")} rows that add up to ${number(this.chosen.sums[this.state.side])}.${more ? ` Not drawn: ${more.toLocaleString("en")} more, together ${signed(together)}.` : ""}`;
    this.sideTable.replaceChildren(rowTable(this.side.rows.slice(0, 30)));
  }

  foot() {
    const sure = this.chosen
      ? [`Closing error ${scientific(this.chosen.closing_error)}: by how much the sum of the query's rows, of the key's rows, or of the pairs differs from the score ${number(this.chosen.score)} that the model computed.`]
      : [];
    return this.footOf([...sure, ...this.data.notes], "why");
  }
}
