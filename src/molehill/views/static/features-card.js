// @ts-check
/**
 * Features as cards: a list that can be searched, and one of them in full; above it, where features
 * were searched for, what was found.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schemas
 * molehill.features/1 and molehill.feature-search/1, see docs/rooms/features.md) into `el` and
 * returns its own cleanup. It asks nothing of the network, and every text from the data becomes a
 * text node.
 */

import {
  Page, clamp, clipped, csv, download, fill, h, number, percent, rendering, s, shown, signed, sized,
  small,
} from "./kit.js";

const render = rendering(() => View);
export default { render };

const ORDERS = { given: "as given", density: "most active first", score: "surest label first" };
const BARS = 90;
/** Features that are listed at once; the rest on request. */
const LISTED = 200;

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = data.search ? `features ${clipped(data.search.asked, 24)}` : `features ${data.features.name}`;
    this.cards = new Map(data.cards.map((card) => [card.feature, card]));
    // Of features without a card here a line is known; the host gives the card when it is wanted.
    for (const other of data.others ?? []) if (!this.cards.has(other.feature)) this.cards.set(other.feature, { ...other, label: { text: other.label, kind: other.kind, score: other.score }, brief: true });
    this.words = new Map([...this.cards].map(([feature, card]) => [feature, wordsOf(card)]));
    this.spaced = data.cards.some((card) => card.groups.some((group) => group.examples.some((example) => example.pieces.some((piece) => /^·./.test(piece)))));
    this.state = { ...this.state, feature: data.cards[0]?.feature ?? null, order: "given", find: "" };
    this.notice = this.fromHash();
  }

  build() {
    this.mount(this.head(), this.leadOf(this.data.summary), this.data.search ? this.found() : "", this.stage(), this.footOf(this.data.notes, "features"));
    this.on(document, "keydown", (event) => this.key(event));
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.side);
    this.all();
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
    this.wanted?.abort();
  }

  takers() {
    return {
      feature: (value) => /^\d+$/.test(value) && (this.cards.has(Number(value)) || (this.asks && Number(value) < this.data.features.count)) && this.set("feature", Number(value)),
      order: (value) => Object.hasOwn(ORDERS, value) && this.set("order", value),
      find: (value) => value.length < 80 && this.set("find", value),
    };
  }

  readAddress() {
    this.input.value = this.state.find;
    this.select.value = this.state.order;
  }

  resized() {
    const room = Math.floor(this.side.clientWidth);
    if (room === this.room || !this.card) return;
    this.room = room;
    this.drawBars();
  }

  /** The cards that the search lets through, in order. */
  get listed() {
    const asked = this.state.find.toLowerCase().split(/\s+/).filter(Boolean);
    const kept = [...this.cards.values()].filter((card) => asked.every((word) => this.words.get(card.feature).includes(word)));
    if (this.state.order === "density") return [...kept].sort((a, b) => (b.density ?? 0) - (a.density ?? 0));
    if (this.state.order === "score") return [...kept].sort((a, b) => (b.label.score ?? 0) - (a.label.score ?? 0));
    return kept;
  }

  get card() {
    return this.cards.get(this.state.feature);
  }

  all() {
    const listed = this.listed;
    if (listed.length && this.cards.has(this.state.feature) && !listed.some((card) => card.feature === this.state.feature)) this.state.feature = listed[0].feature;
    this.fetch(this.state.feature);
    this.drawList(listed);
    this.tell();
    this.markFound();
    this.syncControls();
    const said = [`feature=${this.state.feature}`];
    if (this.state.order !== "given") said.push(`order=${this.state.order}`);
    if (this.state.find) said.push(`find=${encodeURIComponent(this.state.find)}`);
    this.writeHash(this.card ? said : []);
    this.say(() => this.card ? `${listed.length} of ${this.cards.size} features; feature ${this.card.feature}: ${this.card.label.text}` : "No feature");
  }

  /** A card that is not here yet, from the host; the one asked for before is no longer wanted. @param {number} feature */
  async fetch(feature) {
    if (feature === this.fetching) return;
    this.wanted?.abort();
    this.fetching = null;
    const known = this.cards.get(feature);
    if (!this.asks || feature === null || (known && !known.brief)) return;
    this.wanted = new AbortController();
    this.fetching = feature;
    const { texts, source } = this.data.asked?.inputs ?? {};
    try {
      const found = await this.ask("features.card", { features: this.data.features.here, numbers: [feature], ...(texts?.length ? { texts } : {}), ...(source ? { source } : {}) }, { signal: this.wanted.signal });
      const card = found.cards[0];
      this.cards.set(feature, card);
      this.words.set(feature, wordsOf(card));
    } catch (error) {
      if (error.name === "AbortError") return;
      this.cards.set(feature, { feature, label: { text: error.message, kind: "unclear", evidence: [] }, count: 0, density: 0 });
    }
    this.fetching = null;
    this.all();
  }

  head() {
    const { features, provenance: made, search } = this.data;
    const keys = [["Tab", "the next control"], ["↑ ↓", "the feature before or after (list focused)"], ["j k", "the same, from anywhere"], ["Home End", "the first, the last listed"], ["/", "search among the cards"], ["?", "this list"], ["Esc", "close it"]];
    const what = search ? { word: "a word", text: "a text", vector: "a vector", label: "their label" }[search.kind] : "";
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, search ? clipped(search.asked, 60) : features.name),
        h("p", { class: "sub" }, `${search ? `features by ${what} · ${features.name} · ` : ""}${features.count.toLocaleString("en")} features · ${features.reads.join(" + ")} of ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds what you see: copy it to come back.")));
  }

  /** @param {KeyboardEvent & {target: any}} event */
  key(event) {
    if (event.target.closest?.("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "?") return this.dialog.showModal();
    if (event.key === "/") {
      event.preventDefault();
      return this.input.focus();
    }
    const inList = event.target === this.list;
    const step = { j: 1, k: -1, ...(inList ? { ArrowDown: 1, ArrowUp: -1 } : {}) }[event.key];
    const listed = this.listed;
    const last = listed.length - 1;
    const place = listed.findIndex((card) => card.feature === this.state.feature);
    const next = step ? clamp(place + step, 0, last) : inList && event.key === "Home" ? 0 : inList && event.key === "End" ? last : null;
    if (next === null || !listed.length) return undefined;
    event.preventDefault();
    return this.change({ feature: listed[next].feature });
  }

  // --- the list ---------------------------------------------------------------------------------

  stage() {
    this.input = /** @type {HTMLInputElement} */ (h("input", { type: "search", placeholder: "word, label, number", "aria-label": "Search among the cards", maxlength: 79, value: this.state.find }));
    this.on(this.input, "input", () => {
      this.most = LISTED;
      this.change({ find: this.input.value });
    });
    this.select = /** @type {HTMLSelectElement} */ (h("select", { "aria-label": "Order" }, Object.entries(ORDERS).map(([value, text]) => h("option", { value, selected: value === this.state.order }, text))));
    this.on(this.select, "change", () => this.change({ order: this.select.value }));
    this.list = h("div", { class: "cards", role: "listbox", tabindex: 0, "aria-label": "Features" });
    this.on(this.list, "click", (event) => {
      const feature = event.target.closest?.("[data-feature]")?.dataset.feature;
      if (feature) this.change({ feature: Number(feature) });
    });
    this.most = LISTED;
    this.count = small("");
    this.rest = this.button("", () => {
      this.most = Infinity;
      this.all();
    }, { class: "quiet" });
    const save = this.button("CSV", () => download(`${this.fileName("features")}.csv`, csv(this.cells()), "text/csv"), { class: "quiet", title: "Save the list as CSV" });
    this.side = h("section", { class: "side", "aria-label": "One feature" });
    return h("section", { class: "stage of-cards" },
      h("div", { class: "picture" }, h("div", { class: "controls" }, this.input, this.select, save), this.count, this.list, this.rest),
      this.side);
  }

  cells() {
    return [["feature", "label", "kind", "score", "chance", "density", "count", "mean", "largest", "promoted"],
      ...this.listed.map((card) => [card.feature, card.label.text, card.label.kind, card.label.score, card.label.chance, card.density, card.count, card.mean, card.largest, (card.promoted ?? []).slice(0, 5).map((word) => shown(word.piece)).join(" ")])];
  }

  /** @param {any[]} listed */
  drawList(listed) {
    const all = this.cards.size;
    this.count.textContent = listed.length === all ? `${all.toLocaleString("en")} ${all === 1 ? "feature" : "features"}` : `${listed.length.toLocaleString("en")} of ${all.toLocaleString("en")} features`;
    const place = listed.findIndex((card) => card.feature === this.state.feature);
    const drawn = listed.slice(0, Math.max(this.most, place + 1));
    this.rest.hidden = drawn.length === listed.length;
    this.rest.textContent = `The first ${drawn.length} are listed: list all ${listed.length.toLocaleString("en")}`;
    this.list.replaceChildren(...drawn.map((card) => h("div", {
      class: "entry", role: "option", id: `feature-${card.feature}`, "data-feature": card.feature, "aria-selected": String(card.feature === this.state.feature),
    },
      h("span", { class: "figure" }, String(card.feature)),
      h("span", { class: ["unclear", "weights"].includes(card.label.kind) ? "weak" : null, dir: "auto" }, nameOf(card)),
      h("span", { class: "figure weak" }, share(card.density)))));
    if (!listed.length) this.list.append(h("p", { class: "small" }, "None has all of these words."));
    fill(this.list, { "aria-activedescendant": `feature-${this.state.feature}` }, []);
    const chosen = /** @type {HTMLElement | null} */ (this.list.querySelector("[aria-selected=true]"));
    if (!chosen) return;
    const [top, bottom] = [chosen.offsetTop - this.list.offsetTop, chosen.offsetTop - this.list.offsetTop + chosen.offsetHeight];
    this.list.scrollTop = clamp(this.list.scrollTop, bottom - this.list.clientHeight, top);
  }

  // --- one feature ------------------------------------------------------------------------------

  tell() {
    const card = this.card;
    if (this.fetching === this.state.feature && this.fetching !== null) {
      // What was read before stays until the new card is there.
      this.side.setAttribute("aria-busy", "true");
      return undefined;
    }
    this.side.removeAttribute("aria-busy");
    if (!card) return this.side.replaceChildren(small("No feature was found."));
    if (card.brief) return this.side.replaceChildren(h("h2", {}, `Feature ${card.feature}`), small(`${card.label.text}. Its card needs molehill explore.`));
    if (card.count === 0) return this.side.replaceChildren(h("h2", {}, `Feature ${card.feature}`), small("Active at no token that was read."));
    const { label } = card;
    this.chart = s("svg", { class: "bars-of", role: "img" });
    const parts = [
      h("p", { class: "small" }, `Feature ${card.feature}`),
      h("h2", { class: "label", dir: "auto" }, label.text),
      this.ways(card),
      label.kind === "unclear" ? small("No rule that was tried holds:") : "",
      h("ul", { class: "evidence" }, label.evidence.map((line) => h("li", { dir: "auto" }, line))),
      h("dl", { class: "figures" }, this.figures(card).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      card.bars.middles.length ? h("h3", {}, "Its values") : "", card.bars.middles.length ? this.chart : "",
      card.groups.map((group) => this.group(group, card)),
      this.effects(card),
      this.relatives("Directions alike", card.nearest, (one) => number(one.cosine)),
      this.relatives("Active together", card.together, (one) => `${percent(one.share)} (r ${number(one.correlation)})`)];
    this.side.replaceChildren(...parts.flat(9));
    this.room = Math.floor(this.side.clientWidth);
    this.drawBars();
    return undefined;
  }

  /** Where one goes on from a feature, where the host can. @param {any} card */
  ways(card) {
    if (!this.opens || !this.data.features.here) return "";
    const features = this.data.features.here;
    const example = card.groups[0]?.examples[0];
    const text = example ? example.pieces.join("").replaceAll("·", " ").replaceAll("⏎", " ").trim() : "";
    return h("div", { class: "ways" },
      this.button("Steer with it", () => this.open("features.steer", { features, feature: card.feature })),
      text ? this.button("What else fires in its first example", () => this.open("features.here", { features, text })) : "",
      this.button("Others like it", () => this.open("features.search", { features, by: "like", asked: String(card.feature) })));
  }

  /** @param {any} card @returns {string[][]} */
  figures(card) {
    if (card.count === null) return [];
    return [["active at", `${card.count.toLocaleString("en")} ${card.count === 1 ? "token" : "tokens"}`], ["density", share(card.density)], ["mean value", number(card.mean)], ["largest", number(card.largest)]];
  }

  drawBars() {
    const { middles, heights } = this.card?.bars ?? { middles: [], heights: [] };
    if (!middles.length || !this.chart) return;
    const wide = Math.min(520, this.room);
    sized(this.chart, wide, BARS + 20);
    const most = Math.max(...heights);
    const each = wide / heights.length;
    const bars = heights.map((height, index) => {
      const tall = (height / most) * BARS;
      return s("rect", { class: "count", x: index * each + 0.5, width: Math.max(1, each - 1), y: BARS - tall, height: tall }, s("title", {}, `about ${number(middles[index])}: ${height.toLocaleString("en")} tokens`));
    });
    const ends = [[0, "start"], [heights.length - 1, "end"]].map(([index, anchor]) => s("text", { class: "axis", x: index ? wide : 0, y: BARS + 15, "text-anchor": anchor }, number(middles[/** @type {number} */ (index)])));
    const title = `How many tokens have which value, from ${number(middles[0])} to ${number(middles.at(-1))}, on a scale of doublings`;
    this.chart.setAttribute("aria-label", title);
    this.chart.replaceChildren(s("title", {}, title), ...bars, s("line", { class: "zero", x1: 0, x2: wide, y1: BARS, y2: BARS }), ...ends);
  }

  /** @param {any} group @param {any} card */
  group(group, card) {
    const drawn = group.top ? "Largest activations" : group.name === "drawn at random" ? "Activations drawn at random" : `Drawn at random: ${group.name}`;
    return [h("h3", {}, `${drawn}, ${number(group.low)} to ${number(group.high)}`),
      h("ul", { class: "examples c1" }, group.examples.map((example) => h("li", {},
        h("span", { class: "figure" }, number(example.value)),
        h("p", { dir: "auto" }, this.tokens(example.pieces, example.values, example.at, card.largest), example.times > 1 ? h("small", {}, ` ${example.times} times`) : ""))))];
  }

  /** Tokens shaded by the feature's value. @param {string[]} pieces @param {number[]} values @param {number} at @param {number} largest */
  tokens(pieces, values, at, largest) {
    return pieces.map((piece, place) => {
      const begins = this.spaced ? piece.startsWith("·") : !piece.startsWith("##");
      const value = values[place];
      const text = piece.replace(/^·(?=.)/, "").replace(/^##/, "");
      const token = h("span", { class: `token${place === at ? " peak" : ""}`, title: value ? `${number(value)}` : null }, text);
      token.style.setProperty("--weight", `${Math.round((64 * value) / (largest || 1))}%`);
      return [begins && place ? " " : "", token];
    });
  }

  /** @param {any} card */
  effects(card) {
    if (!card.promoted.length) return "";
    const { chance } = this.data;
    const words = (list) => h("ul", { class: "words", dir: "auto" }, list.map((word) => h("li", { class: Math.abs(word.z) > chance ? null : "weak" }, shown(word.piece), h("i", {}, signed(word.z)))));
    return [h("h3", {}, "Its direction promotes"), words(card.promoted), h("h3", {}, "and demotes"), words(card.demoted),
      small(`In standard deviations of what random directions give; faint: within what chance reaches, ${number(chance)}.`)];
  }

  /** @param {string} title @param {any[]} list @param {(one: any) => string} told */
  relatives(title, list, told) {
    if (!list.length) return "";
    return [h("h3", {}, title), h("ul", { class: "relatives" }, list.map((one) => h("li", {},
      this.cards.has(one.feature) || this.asks ? this.button(String(one.feature), () => this.change({ feature: one.feature }), { class: "quiet" }) : h("span", { class: "figure" }, String(one.feature)),
      h("span", { dir: "auto" }, one.label), h("span", { class: "figure weak" }, told(one)))))];
  }

  // --- what was found ---------------------------------------------------------------------------

  found() {
    const { search } = this.data;
    this.text = search.pieces ? h("p", { class: "asked c2", dir: "auto" }) : "";
    this.rows = [];
    const tables = search.lists.map((list) => {
      const heads = ["feature", ...list.heads, "density", "label"];
      const rows = list.rows.map((row) => {
        const known = this.cards.has(row.feature) || this.asks || search.values?.[row.feature];
        const name = known ? this.button(String(row.feature), () => this.choose(row.feature), { class: "quiet", title: `Read feature ${row.feature}` }) : String(row.feature);
        const line = h("tr", {}, h("th", { scope: "row" }, name), row.cells.map((cell, index) => cellOf(cell, list.heads[index])), h("td", { class: "figure" }, share(row.density)), h("td", { dir: "auto" }, row.label));
        this.rows.push([row.feature, line]);
        return line;
      });
      const head = h("tr", {}, heads.map((name) => h("th", { scope: "col", class: ["feature", "token", "label"].includes(name) ? null : "figure" }, name)));
      return [h("h3", {}, `Features ${list.name}`), h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": `Features ${list.name}` }, h("table", { class: "hits" }, h("thead", {}, head), h("tbody", {}, rows)))];
    });
    return h("section", { class: "found" }, h("h2", {}, "Found"), this.text, this.text ? small("Shaded by the values of the feature that is chosen below or in the table.") : "", tables);
  }

  /** @param {number} feature */
  choose(feature) {
    this.shaded = feature;
    if (this.cards.has(feature) || this.asks) this.change({ feature, find: "" });
    else this.markFound();
    if (this.input) this.input.value = this.state.find;
  }

  markFound() {
    const { search } = this.data;
    if (!search) return;
    const chosen = this.shaded ?? this.state.feature;
    this.shaded = undefined;
    for (const [feature, line] of this.rows) fill(line, { "aria-current": "true" }, []), feature === chosen || line.removeAttribute("aria-current");
    if (!search.pieces) return;
    const values = search.values[chosen] ?? search.pieces.map(() => 0);
    this.text.replaceChildren(...this.tokens(search.pieces, values, values.indexOf(Math.max(...values)), Math.max(...values)).flat());
  }

  /** @param {number} room */
  signature(room) {
    return [{ text: clipped(`Feature ${this.state.feature} of ${this.data.features.name}`, room) }, ...super.signature(room)];
  }
}

/** Everything that a card can be found by. @param {any} card */
function wordsOf(card) {
  if (card.brief) return `${card.feature} ${card.label.text}`.toLowerCase();
  const parts = [String(card.feature), card.label.text, ...card.promoted.map((word) => word.piece), ...card.groups.flatMap((group) => group.examples.flatMap((example) => [example.word, example.pieces.join("").replaceAll("·", " ")]))];
  return parts.join(" ").toLowerCase();
}

/** Its label; of weights alone, the words that it promotes. @param {any} card */
function nameOf(card) {
  if (card.label.kind === "unclear") return unclear(card);
  if (card.label.kind !== "weights") return card.label.text;
  return card.promoted.length ? `promotes ${card.promoted.slice(0, 3).map((word) => shown(word.piece)).join(", ")}` : card.label.text;
}

/** Where there is no label: the words of its largest activations. @param {any} card */
function unclear(card) {
  const words = [...new Set((card.groups?.[0]?.examples ?? []).map((example) => example.word))];
  return words.length ? `unclear; at ${words.slice(0, 3).join(", ")}` : "unclear";
}

/** @param {number | null} density */
function share(density) {
  if (density === null || density === undefined) return "";
  return density >= 0.0005 || !density ? percent(density) : `${Math.round(density * 1e6)} ppm`;
}

/** @param {any} cell @param {string} name */
function cellOf(cell, name) {
  if (typeof cell === "string") return h("td", { dir: "auto" }, shown(cell));
  return h("td", { class: "figure" }, name === "largest" || name === "random" ? percent(cell) : number(cell));
}
