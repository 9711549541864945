// @ts-check
/**
 * What the pages share: elements from plain calls, numbers in words, files to keep, markers.
 *
 * Every text that is given becomes a text node, never markup. Nothing here knows a view.
 */

export const NS = "http://www.w3.org/2000/svg";

/**
 * An element; strings among the children become text nodes.
 * @param {string} tag @param {Record<string, any>} [attributes] @param {...any} children
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** @param {string} tag @param {Record<string, any>} [attributes] @param {...any} children */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(NS, tag), attributes, children);
}

/** @param {any} node @param {Record<string, any>} attributes @param {any[]} children */
export function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(9).filter((child) => child !== null && child !== undefined));
  return node;
}

/** @param {number | null | undefined} value */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not finite";
  const size = Math.abs(value);
  if (size >= 100) return minus(value.toFixed(0));
  return minus(size >= 10 ? value.toFixed(1) : value.toFixed(2));
}

/** @param {number | null | undefined} share */
export function percent(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return "not finite";
  const value = 100 * share;
  const shown = Math.abs(value) < 0.95 ? Math.abs(value).toFixed(1) : Math.abs(value).toFixed(0);
  return `${value < 0 && Number(shown) ? "−" : ""}${shown}%`;
}

/** @param {string} text */
export function minus(text) {
  return text.replace(/^-/, "−");
}

/** @param {number | null} error */
export function scientific(error) {
  return error === null || error === undefined ? "not finite" : error === 0 ? "0" : minus(error.toExponential(0));
}

/** @param {number} value @param {number} low @param {number} high */
export function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}

/** @param {string} text @param {number} most */
export function clipped(text, most) {
  const characters = [...text];
  return characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : text;
}

/** A token without its leading space, quoted where it is no word. @param {string} piece */
export function shown(piece) {
  const bare = piece.replace(/^·/, "") || piece;
  return /[\p{L}\p{N}]/u.test(bare) ? bare : `“${bare}”`;
}

/** A token without its leading space, in quotation marks: for sentences. @param {string} piece */
export function quoted(piece) {
  return `“${(piece.replace(/^·/, "") || piece).replace(/^“|”$/g, "")}”`;
}

/** @param {string} name @param {BlobPart} content @param {string} type */
export function download(name, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Cells that a spreadsheet would take for a formula get a quote in front. @param {any[][]} rows */
export function csv(rows) {
  const cell = (value) => {
    if (typeof value === "number") return String(value);
    const text = value === null || value === undefined ? "" : String(value);
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return `${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** @param {Element} svg @param {number} width @param {number} height */
export function sized(svg, width, height) {
  fill(svg, { width, height, viewBox: `0 0 ${width} ${height}` }, []);
}

/** A marker's outline around 0,0, one of eight shapes. @param {number} index @param {number} r */
export function shape(index, r) {
  const kind = index % 8;
  if (kind === 0) return `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0Z`;
  if (kind === 4) {
    const [a, b] = [r * 1.15, r * 0.42];
    return `M${-b},${-a}H${b}V${-b}H${a}V${b}H${b}V${a}H${-b}V${b}H${-a}V${-b}H${-b}Z`;
  }
  const [corners, turn, size] = [
    [4, 0.25, 1.2], [3, 0, 1.3], [4, 0, 1.3], [0, 0, 0], [3, 0.5, 1.3], [6, 0, 1.15], [10, 0, 1.4],
  ][kind - 1];
  const points = Array.from({ length: corners }, (_, corner) => {
    const angle = 2 * Math.PI * ((corner + (kind === 1 ? 0.5 : 0)) / corners + (kind === 5 ? turn : 0)) - Math.PI / 2;
    const far = r * size * (kind === 7 && corner % 2 ? 0.5 : 1);
    return `${(far * Math.cos(angle)).toFixed(2)},${(far * Math.sin(angle)).toFixed(2)}`;
  });
  return `M${points.join("L")}Z`;
}

/** The colour class of a sentence, counted from 1. @param {number} sentence */
export function colour(sentence) {
  return `c${((sentence - 1) % 8) + 1}`;
}

/** @param {number} sentence @param {number} [size] */
export function marker(sentence, size = 5) {
  return s(
    "svg",
    { class: `marker ${colour(sentence)}`, viewBox: "-8 -8 16 16", width: 16, height: 16, "aria-hidden": "true" },
    s("path", { d: shape(sentence - 1, size) }),
  );
}

/** Round steps for an axis. @param {number} largest @param {number} wanted */
export function ticks(largest, wanted) {
  const rough = largest / wanted;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * unit).find((size) => size >= rough) ?? rough;
  return Array.from({ length: Math.floor(largest / step + 1e-9) + 1 }, (_, index) => index * step);
}

/** @param {string} text */
export function small(text) {
  return h("p", { class: "small" }, text);
}

/** @param {string} text */
export function sentenceCase(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** With its sign, plus or minus. @param {number | null | undefined} value */
export function signed(value) {
  return (value ?? 0) > 0 ? `+${number(value)}` : number(value);
}

/** Tokens that have their value written below them. */
const VALUES = 12;

/** A part of the model in as few letters as an axis has room for. @param {string} name */
export function short(name) {
  return name.replace(/^attention of layer /, "attn ").replace(/^MLP of layer /, "MLP ");
}

/**
 * Bars to both sides of nothing, with names and values: a picture that can be saved.
 * @param {SVGElement} figure @param {{name: string, value: number | null, share?: number | null}[]} entries
 * @param {number} width @param {string} title
 */
export function barChart(figure, entries, width, title) {
  const tall = 23;
  const names = Math.min(200, Math.round(width * 0.4));
  const values = 104;
  const room = width - names - values;
  const low = Math.min(0, ...entries.map((entry) => entry.value ?? 0));
  const high = Math.max(0, ...entries.map((entry) => entry.value ?? 0));
  const x = (value) => names + ((value - low) / (high - low || 1)) * room;
  sized(figure, width, Math.max(1, entries.length) * tall + 4);
  const rows = entries.map((entry, index) => {
    const [from, to] = [x(Math.min(0, entry.value ?? 0)), x(Math.max(0, entry.value ?? 0))];
    const y = index * tall + 2;
    const told = entry.share === undefined || entry.share === null ? "" : ` ${percent(entry.share)}`;
    const name = names < 150 ? short(entry.name) : entry.name;
    return s("g", {},
      s("text", { x: names - 10, y: y + tall / 2, dy: "0.35em", "text-anchor": "end" }, s("title", {}, entry.name), clipped(name, Math.floor((names - 10) / 6.6))),
      s("rect", { class: (entry.value ?? 0) < 0 ? "less" : "more", x: from, y: y + 4, width: Math.max(1, to - from), height: tall - 8, rx: 2 }),
      s("text", { x: width, y: y + tall / 2, dy: "0.35em", "text-anchor": "end" }, signed(entry.value), s("tspan", { class: "axis" }, told)));
  });
  figure.setAttribute("aria-label", title);
  figure.replaceChildren(s("title", {}, title), ...rows, s("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: entries.length * tall + 4 }));
}

/**
 * Tokens in their order, shaded by what each weighs, the value below those that weigh most; what
 * weighs less than nothing has no shade and is underlined.
 * @param {string[]} pieces @param {(number | null | undefined)[]} weights @param {number[]} itself
 * @param {(weight: number) => string} told
 */
export function shaded(pieces, weights, itself, told) {
  const largest = Math.max(1e-9, ...weights.map((weight) => Math.abs(weight ?? 0)));
  const sizes = weights.map((weight) => Math.abs(weight ?? 0)).sort((a, b) => b - a);
  const least = Math.max(largest * 0.05, sizes[Math.min(sizes.length, VALUES) - 1] ?? 0);
  const tokens = pieces.map((piece, position) => {
    const weight = weights[position];
    const token = h("span", {
      class: `token${(weight ?? 0) < 0 ? " back" : ""}${itself.includes(position) ? " itself" : ""}`,
      title: weight === null || weight === undefined ? null : `${shown(piece)} (${position}) ${told(weight)}`,
    }, piece.replace(/^·/, "").replace(/^##/, "") || " ");
    token.style.setProperty("--weight", `${Math.round((60 * Math.abs(weight ?? 0)) / largest)}%`);
    const worth = weight !== null && weight !== undefined && Math.abs(weight) >= least ? h("small", {}, told(weight)) : "";
    return [/^##/.test(piece) ? "" : " ", h("span", { class: "worth" }, token, worth)];
  });
  const less = weights.some((weight) => (weight ?? 0) < 0);
  const listed = sizes.length > VALUES ? `, written below the ${VALUES} largest` : ", written below";
  return h("div", { class: "shaded c1" }, h("p", { dir: "auto" }, tokens),
    small(`The deeper the shade, the larger the value${listed}.${less ? " Underlined without a shade: less than nothing." : ""} The token in italics is the one looked at.`));
}

/** The largest rows of a ledger as a table. @param {any[]} rows */
export function rowTable(rows) {
  const heads = ["row", "from", "value", "share", "length", "cosine", "coefficient"];
  const body = rows.map((row) => h("tr", {},
    h("th", { scope: "row" }, row.name), h("td", { dir: "auto" }, row.piece === undefined ? "" : shown(row.piece)),
    [signed(row.value), row.share === null ? "" : percent(row.share), number(row.norm), number(row.cosine), number(row.coefficient)].map((text) => h("td", { class: "figure" }, text))));
  const head = h("tr", {}, heads.map((name, index) => h("th", { scope: "col", class: index > 1 ? "figure" : null }, name)));
  return h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Largest rows" }, h("table", {}, h("thead", {}, head), h("tbody", {}, body)));
}

/** The same for a spreadsheet. @param {any[]} rows */
export function rowCells(rows) {
  return [["row", "kind", "layer", "source", "piece", "value", "share", "length", "cosine", "coefficient"],
    ...rows.map((row) => [row.name, row.kind, row.layer, row.source, row.piece, row.value, row.share, row.norm, row.cosine, row.coefficient])];
}

/**
 * @typedef {{model: Model, el: HTMLElement, signal: AbortSignal}} Host
 * @typedef {{get: (name: string) => any, set: (name: string, value: any) => void, on?: Function,
 *   off?: Function, save_changes?: Function, send?: Function}} Model as anywidget has it
 * @typedef {{signal?: AbortSignal, onProgress?: (told: any) => void, fresh?: boolean}} Asking `fresh`:
 *   answered anew, even where the host keeps the last answer
 */

/**
 * What a view's module gives its host: `render({model, el})` draws `model.get("data")`, anew
 * whenever that changes, and returns what undoes it.
 * @param {(data: any) => new (data: any, host: Host) => Page} kind the class that draws such data
 */
export function rendering(kind) {
  return (/** @type {{model: Model, el: HTMLElement}} */ { model, el }) => {
    let undo = () => {};
    const draw = () => {
      undo();
      const data = model.get("data");
      if (!data) return;
      const stop = new AbortController();
      const view = new (kind(data))(data, { model, el, signal: stop.signal });
      view.build();
      undo = () => {
        stop.abort();
        view.halt();
        el.replaceChildren();
      };
    };
    draw();
    model.on?.("change:data", draw);
    return () => {
      model.off?.("change:data", draw);
      undo();
    };
  };
}

/**
 * @typedef {{name: string, label: string, min?: number, max?: number, step?: number, log?: boolean,
 *   options?: Record<string, string>, also?: Record<string, any>, told?: (value: any) => string}} Control
 *   an input of a question: a slider (`log`: from `min` to `max` by multiples), or a choice of
 *   `options`; `also` says which other inputs go with a choice
 */

/**
 * As `rendering`, with sliders above the view where the host answers: while one is moved the view's
 * question is asked again, the ask before is given up, and the old picture stays, dimmed. When it is
 * let go the host opens the question with these inputs, so that the address has them. The data says
 * in `asked` which question it answers and with which inputs.
 * @param {(data: any) => new (data: any, host: Host) => Page} kind
 * @param {(data: any) => Control[]} controlsOf none where such data has no sliders
 * @param {number} [pause] milliseconds of rest before a question is asked
 */
export function adjustable(kind, controlsOf, pause = 100) {
  const plain = rendering(kind);
  return (/** @type {{model: Model, el: HTMLElement}} */ host) => {
    const data = host.model.get("data");
    if (!(data?.asked && host.model.get("asks") && controlsOf(data).length)) return plain(host);
    const made = new Adjusting(host, plain, controlsOf, pause);
    return () => made.end();
  };
}

/** The slider that was let go last. @type {{question: string, name: string, kind: string, at: number} | null} */
let gripped = null;

/** What `adjustable` draws: a bar of sliders, and the view below it. */
class Adjusting {
  /** @param {{model: Model, el: HTMLElement}} host @param {Function} plain @param {(data: any) => Control[]} controlsOf @param {number} pause */
  constructor({ model, el }, plain, controlsOf, pause) {
    Object.assign(this, { model, el, controlsOf, pause, stop: new AbortController(), drawn: new Set() });
    this.data = model.get("data");
    this.inputs = { ...this.data.asked.inputs };
    this.inner = h("div", { class: "adjusted" });
    this.status = h("p", { class: "small", role: "status" });
    this.bar = h("form", { class: "mh adjust", "aria-label": "What is asked" });
    this.bar.addEventListener("submit", (event) => event.preventDefault());
    this.heard = { "change:data": () => this.given(), "change:theme": () => this.themed() };
    for (const [event, act] of Object.entries(this.heard)) model.on?.(event, act);
    this.themed();
    this.draw();
    el.replaceChildren(this.bar, this.inner);
    this.regrip();
    this.undo = plain({ model: this.inside(), el: this.inner });
  }

  end() {
    clearTimeout(this.waiting);
    clearTimeout(this.opening);
    this.stop.abort();
    this.undo();
    for (const [event, act] of Object.entries(this.heard)) this.model.off?.(event, act);
    this.el.replaceChildren();
  }

  /** The model as the view below sees it: with the data of the last answer. */
  inside() {
    const { model } = this;
    return {
      get: (name) => (name === "data" ? this.data : model.get(name)),
      set: (name, value) => model.set(name, value),
      save_changes: () => model.save_changes?.(),
      send: (message) => model.send?.(message),
      on: (event, act) => (event === "change:data" ? this.drawn.add(act) : model.on?.(event, act)),
      off: (event, act) => (event === "change:data" ? this.drawn.delete(act) : model.off?.(event, act)),
    };
  }

  themed() {
    const theme = this.model.get("theme");
    if (theme === "dark" || theme === "light") this.bar.dataset.theme = theme;
    else delete this.bar.dataset.theme;
  }

  /** A host may draw everything anew for an address that a slider changed: the slider is held on to. */
  regrip() {
    if (gripped?.question !== this.data.asked.question || Date.now() - gripped.at > 20_000) return;
    const { name, kind } = gripped;
    requestAnimationFrame(() => /** @type {HTMLElement | null} */ (this.bar.querySelector(`[name="${name}"]${kind ? `[type="${kind}"]` : ""}`))?.focus({ preventScroll: true }));
  }

  /** The sliders that such data has; those that stay keep the pointer and the focus. */
  draw() {
    const controls = this.controlsOf(this.data);
    const names = controls.map((control) => control.label).join();
    if (names !== this.names) {
      // What the address says of one kind of picture means nothing to another.
      if (this.names) this.model.set("state", "");
      const focused = this.fields?.find((one) => one.field === document.activeElement)?.control.name;
      this.names = names;
      this.fields = controls.map((control) => this.field(control));
      this.bar.replaceChildren(...this.fields.map(({ field, exact, output, control }) => h("div", { class: "field" }, h("label", { for: field.id }, control.label, ...(output ? [" ", output] : [])), exact ?? "", field)), this.status);
      this.fields.find((one) => one.control.name === focused)?.field.focus();
    }
    for (const { control, field, rungs } of this.fields) field.value = String(rungs ? nearestRung(rungs, this.inputs[control.name]) : this.inputs[control.name]);
    this.write(this.fields.find((one) => one.exact === document.activeElement)?.exact);
  }

  /** @param {Control} control */
  field(control) {
    const rungs = control.log ? ladder(control) : null;
    const range = rungs ? { min: 0, max: rungs.length - 1, step: 1 } : { min: control.min, max: control.max, step: control.step ?? 1 };
    const id = `adjust-${control.name}`;
    const field = /** @type {HTMLInputElement} */ (control.options
      ? h("select", { id, name: control.name }, Object.entries(control.options).map(([value, text]) => h("option", { value }, text)))
      : h("input", { id, type: "range", name: control.name, ...range }));
    field.addEventListener("input", () => this.moved(control, rungs ? rungs[Number(field.value)] : control.options ? field.value : Number(field.value)));
    field.addEventListener("change", () => this.settled());
    if (control.options || control.told) return { control, field, rungs, output: control.options ? null : h("output", { for: id }) };
    // A number that no slider stands at can be typed.
    const exact = /** @type {HTMLInputElement} */ (h("input", { type: "number", name: control.name, "aria-label": `${control.label}, exactly`, min: control.min, max: control.max, step: control.step ?? 1 }));
    exact.addEventListener("input", () => exact.value !== "" && exact.validity.valid && this.moved(control, Number(exact.value), exact));
    exact.addEventListener("change", () => this.settled());
    return { control, field, rungs, exact };
  }

  /** @param {HTMLInputElement} [typed] what is being typed stays as it is */
  write(typed) {
    for (const { control, field, exact, rungs, output } of this.fields) {
      const value = this.inputs[control.name];
      if (output) output.textContent = control.told(value);
      if (exact && exact !== typed) exact.value = String(value);
      if (typed && exact === typed) field.value = String(rungs ? nearestRung(rungs, value) : value);
      if (!control.options) field.setAttribute("aria-valuetext", output?.textContent ?? Number(value).toLocaleString("en"));
    }
  }

  /** @param {Control} control @param {any} value @param {HTMLInputElement} [typed] */
  moved(control, value, typed) {
    this.inputs = { ...this.inputs, [control.name]: value, ...(control.also?.[value] ?? {}) };
    this.write(typed);
    clearTimeout(this.waiting);
    clearTimeout(this.opening);
    this.waiting = setTimeout(() => this.again(), this.pause);
  }

  async again() {
    this.asking?.abort();
    const mine = new AbortController();
    [this.asking, this.failed] = [mine, false];
    this.inner.setAttribute("aria-busy", "true");
    const { question } = this.data.asked;
    const { inputs } = this;
    const onProgress = (told) => { this.status.textContent = [told.what, told.whole > 1 ? percent(told.done / told.whole) : ""].filter(Boolean).join(", "); };
    try {
      const found = await ask(this.model, question, inputs, { signal: AbortSignal.any([mine.signal, this.stop.signal]), onProgress });
      if (mine.signal.aborted) return;
      this.data = { ...found, asked: { question, inputs } };
      this.rest("");
      this.draw();
      for (const act of [...this.drawn]) act();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.failed = true;
      this.rest(error.message);
    }
  }

  /** @param {string} said */
  rest(said) {
    this.status.textContent = said;
    this.asking = undefined;
    this.inner.removeAttribute("aria-busy");
  }

  /** Arrow keys let go with every press: the address waits until they rest, and for the answer. */
  settled() {
    clearTimeout(this.opening);
    this.opening = setTimeout(() => {
      if (this.asking) return this.settled();
      if (this.failed || !this.model.get("opens")) return undefined;
      const held = /** @type {HTMLInputElement} */ (document.activeElement);
      if (this.bar.contains(held)) gripped = { question: this.data.asked.question, name: held.name, kind: held.type === "select-one" ? "" : held.type, at: Date.now() };
      this.model.send?.({ kind: "open", question: this.data.asked.question, inputs: this.inputs });
      return undefined;
    }, 600);
  }

  /** The host has other data. */
  given() {
    const next = this.model.get("data");
    if (!next?.asked || this.asking) return;
    [this.data, this.inputs] = [next, { ...next.asked.inputs }];
    this.draw();
    for (const act of [...this.drawn]) act();
  }
}

/** Steps of a slider by multiples: numbers for people. */
const RUNGS = [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9];

/** The values of a slider by multiples. @param {Control} control @returns {number[]} */
function ladder({ min = 1, max = 1, step = 1 }) {
  const first = Math.floor(Math.log10(min));
  const decades = Array.from({ length: Math.ceil(Math.log10(max)) - first + 1 }, (_, index) => 10 ** (first + index));
  const all = decades.flatMap((decade) => RUNGS.map((rung) => Number((rung * decade).toPrecision(2))));
  const kept = all.filter((value) => value > min && value < max && (step < 1 || Number.isInteger(value)));
  return [min, ...kept, max];
}

/** Which of some rising numbers is nearest. @param {number[]} rungs @param {number} value */
function nearestRung(rungs, value) {
  return rungs.reduce((best, one, index) => (Math.abs(one - value) < Math.abs(rungs[best] - value) ? index : best), 0);
}

let asked = 0;

/**
 * Ask the host a question by its name (see `molehill.questions`); the answer is a view's data.
 * Rejects with an Error whose message is for people, or with an AbortError.
 * @param {Model} model @param {string} question @param {Record<string, any>} inputs @param {Asking} [how]
 * @returns {Promise<any>}
 */
export function ask(model, question, inputs, { signal, onProgress, fresh } = {}) {
  const id = `${Date.now().toString(36)}-${(asked += 1)}`;
  return new Promise((resolve, reject) => {
    const hear = (message) => {
      if (message.id !== id) return;
      if (message.kind === "progress") onProgress?.(message);
      else if (message.kind === "answer") end(() => resolve(message.data));
      else if (message.kind === "error") end(() => reject(new Error(message.message)));
    };
    const leave = () => {
      model.send?.({ kind: "cancel", id });
      end(() => reject(new DOMException("no longer wanted", "AbortError")));
    };
    const end = (act) => {
      model.off?.("msg:custom", hear);
      signal?.removeEventListener("abort", leave);
      act();
    };
    if (signal?.aborted) return reject(new DOMException("no longer wanted", "AbortError"));
    signal?.addEventListener("abort", leave);
    model.on?.("msg:custom", hear);
    model.send?.({ kind: "ask", id, question, inputs, ...(fresh ? { fresh } : {}) });
  });
}

/** Put a text where it can be pasted from. @param {string} text */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page from a disk has no clipboard of its own.
    const field = h("textarea", { class: "unseen" });
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

const THEMES = ["auto", "dark", "light"];

/**
 * What every page is made on: state that lives in the address (or with a host that keeps it), controls, tables and pictures to
 * keep. A view extends it and has `takers()`, `parts()` for the address, `all()` to draw, `subject`
 * for names of files, `signature()` for saved pictures.
 */
export class Page {
  /** @param {any} data @param {Host} host */
  constructor(data, { model, el, signal }) {
    this.data = data;
    this.model = model;
    this.el = el;
    this.signal = signal;
    /** @type {Record<string, any>} */
    this.state = { theme: "auto" };
    this.notice = "";
    this.subject = "";
    this.live = h("p", { class: "unseen", "aria-live": "polite", role: "status" });
  }

  /** Whether the host answers questions: a page on a disk does not. */
  get asks() {
    return Boolean(this.model.get("asks"));
  }

  /** Whether the host can show another view. */
  get opens() {
    return Boolean(this.model.get("opens"));
  }

  /**
   * The data of another view, for other inputs (see `ask`); ends with this view.
   * @param {string} question @param {Record<string, any>} inputs @param {Asking} [how]
   */
  ask(question, inputs, how = {}) {
    const signals = [this.signal, ...(how.signal ? [how.signal] : [])];
    return ask(this.model, question, inputs, { ...how, signal: AbortSignal.any(signals) });
  }

  /** Show another view in this one's place. @param {string} question @param {Record<string, any>} inputs */
  open(question, inputs) {
    this.model.send({ kind: "open", question, inputs });
  }

  /** @param {EventTarget} target @param {string} type @param {(event: any) => void} act @param {any} [options] */
  on(target, type, act, options = {}) {
    const heard = target === document && type === "keydown" ? (event) => this.listens(event) && act(event) : act;
    target.addEventListener(type, heard, { signal: this.signal, ...options });
  }

  /**
   * Whether a key is meant for this view. On a page that shows it alone every key is; beside other
   * views, and among the cells of a notebook, only what is pressed inside it.
   * @param {KeyboardEvent} event
   */
  listens(event) {
    const alone = (this.opens || !this.hosted("state")) && document.querySelectorAll("article.mh").length < 2;
    return alone || event.composedPath().includes(this.root);
  }

  /** @param {any} label @param {() => void} act @param {Record<string, any>} [attributes] */
  button(label, act, attributes = {}) {
    const made = h("button", { type: "button", ...attributes }, label);
    this.on(made, "click", act);
    return made;
  }

  /** Put the page's parts where the host wants them. @param {...any} parts */
  mount(...parts) {
    this.root = h("article", { class: "mh" }, ...parts, this.dialog ?? "", this.live);
    if (this.notice) this.root.prepend(h("p", { class: "notice", role: "alert" }, this.notice));
    this.el.replaceChildren(this.root);
    const moved = () => {
      this.notice = this.fromHash();
      this.readAddress();
      this.all();
    };
    if (this.hosted("state")) this.listen("change:state", () => this.model.get("state") !== this.written && moved());
    else this.on(window, "hashchange", moved);
    this.listen("change:theme", () => this.syncControls());
  }

  /** Whether the host keeps something that a page of its own would keep by itself. @param {string} name */
  hosted(name) {
    return typeof this.model.get(name) === "string";
  }

  /** Hear the host as long as the view stands. @param {string} event @param {() => void} act */
  listen(event, act) {
    this.model.on?.(event, act);
    this.signal.addEventListener("abort", () => this.model.off?.(event, act));
  }

  /** What a view does after the address was changed by hand. */
  readAddress() {}

  /** Build the page, once. */
  build() {}

  /** Draw everything that depends on the state. */
  all() {}

  /** End what goes on by itself. */
  halt() {
    clearTimeout(this.spoken);
  }

  /** What the address may say. @returns {Record<string, (value: string) => boolean>} */
  takers() {
    return {};
  }

  /** Take the state from the address; what cannot be used is named, and the page opens all the same. */
  fromHash() {
    const given = new URLSearchParams(this.hosted("state") ? this.model.get("state") : location.hash.slice(1));
    const unusable = [];
    const takers = { theme: (value) => ["auto", "light", "dark"].includes(value) && this.set("theme", value), ...this.takers() };
    for (const [name, value] of given) {
      if (!(Object.hasOwn(takers, name) && takers[name](value))) unusable.push(name);
    }
    return unusable.length && this.model.get("keeps") !== true
      ? `The address asked for what this page does not have (${clipped(unusable.join(", "), 60)}); the rest was used.`
      : "";
  }

  /** @param {string} name @param {any} value */
  set(name, value) {
    this.state[name] = value;
    return true;
  }

  /** @param {string} name @param {string} text @param {number} low @param {number} high */
  take(name, text, low, high) {
    const value = Number(text);
    return /^\d+$/.test(text) && value >= low && value <= high && this.set(name, value);
  }

  /** @param {string[]} parts */
  writeHash(parts) {
    const said = this.state.theme === "auto" ? parts : [...parts, `theme=${this.state.theme}`];
    if (this.hosted("state")) {
      this.written = said.join("&");
      if (this.model.get("state") === this.written) return;
      this.model.set("state", this.written);
      this.model.save_changes?.();
      return;
    }
    try {
      history.replaceState(null, "", `#${said.join("&")}`);
    } catch {
      // A host without an address of its own (a sandboxed frame) keeps its state to itself.
    }
  }

  /** @param {Record<string, any>} change */
  change(change) {
    Object.assign(this.state, change);
    this.all();
  }

  /** A host that has a theme has its own switch for it. */
  themeSwitch() {
    const next = () => THEMES[(THEMES.indexOf(this.state.theme) + 1) % THEMES.length];
    this.themeButton = this.button("Theme", () => this.change({ theme: next() }), { class: "quiet" });
    return this.hosted("theme") ? "" : this.themeButton;
  }

  /** The theme and the choices, as the state has them. */
  syncControls() {
    const theme = this.hosted("theme") ? this.model.get("theme") : this.state.theme;
    if (theme === "auto") delete this.root.dataset.theme;
    else this.root.dataset.theme = theme;
    this.themeButton.textContent = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" }[this.state.theme];
    for (const input of this.root.querySelectorAll("input[type=radio]")) {
      const radio = /** @type {HTMLInputElement} */ (input);
      radio.checked = String(this.state[radio.dataset.state ?? ""]) === radio.value;
    }
  }

  /** Say something to those who listen, once things have come to rest. @param {() => string} text */
  say(text) {
    clearTimeout(this.spoken);
    this.spoken = setTimeout(() => {
      this.live.textContent = text();
    }, 300);
  }

  /** The first sentences of a page. @param {string[]} summary */
  leadOf(summary) {
    const [first, ...rest] = summary;
    return h(
      "section", { class: "lead", "aria-label": "In short" },
      h("p", { class: "first", dir: "auto" }, first),
      h("div", { class: "rest" }, rest.map((line) => h("p", { dir: "auto" }, line))),
    );
  }

  /** A row of choices of which one holds. @param {string} name @param {string} label @param {Record<string, string>} options */
  segments(name, label, options) {
    const group = h("div", { class: "segments", role: "radiogroup", "aria-label": label });
    for (const [value, text] of Object.entries(options)) {
      const input = h("input", { type: "radio", name, value, "data-state": name });
      this.on(input, "change", () => this.change({ [name]: value }));
      group.append(h("label", {}, input, h("span", {}, text)));
    }
    return group;
  }

  /** @param {string} name @param {() => any} figure @param {() => any[][]} rows */
  exports(name, figure, rows) {
    const file = () => this.fileName(name);
    const button = (label, act) => this.button(label, act, { class: "quiet", title: `Save as ${label}` });
    return h(
      "div", { class: "exports", role: "group", "aria-label": `Save the ${name}` },
      button("SVG", () => download(`${file()}.svg`, this.standalone(figure()).text, "image/svg+xml")),
      button("PNG", () => this.png(figure(), `${file()}.png`)),
      button("CSV", () => download(`${file()}.csv`, csv(rows()), "text/csv")),
      this.enlarge(name),
    );
  }

  /** A button that gives the picture the whole screen, and back. @param {string} name */
  enlarge(name) {
    if (!document.fullscreenEnabled) return "";
    const made = this.button("⤢", () => {
      const panel = made.closest(".picture, section, .stage") ?? this.root;
      if (document.fullscreenElement) document.exitFullscreen();
      else panel.requestFullscreen();
    }, { class: "quiet", title: "Whole screen", "aria-label": `Whole screen: ${name}` });
    return made;
  }

  /**
   * A picture wider than its box: what names the rows stays at the left, and the right edge fades
   * where there is more.
   * @param {HTMLElement} box @param {Element | undefined} names
   */
  stick(box, names) {
    names?.setAttribute("transform", `translate(${box.scrollLeft},0)`);
    box.classList.toggle("beyond", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
  }

  /**
   * Scroll a column into its box, never the page.
   * @param {HTMLElement} box @param {number} x @param {number} wide @param {number} left what the names take
   */
  bring(box, x, wide, left) {
    box.scrollLeft = clamp(box.scrollLeft, x + wide + 30 - box.clientWidth, x - left - 4);
  }

  /** @param {string} name */
  fileName(name) {
    const subject = clipped(this.subject.replace(/[^\p{L}\p{N}]+/gu, "-"), 30);
    return subject ? `${subject}-${name}` : name;
  }

  /** A table that is made when it is opened, and again when it is opened after a change. @param {string} title @param {() => any[][]} rows */
  details(title, rows) {
    const body = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title });
    const box = h("details", {}, h("summary", {}, title), body);
    this.on(box, "toggle", () => {
      if (!box.open) return body.replaceChildren();
      const [head, ...rest] = rows();
      const row = (cells, tag) => h("tr", {}, cells.map((cell) => h(tag, { class: typeof cell === "number" ? "figure" : null }, typeof cell === "number" ? minus(String(cell)) : cell ?? "")));
      return body.replaceChildren(h("table", {}, h("thead", {}, row(head, "th")), h("tbody", {}, rest.map((cells) => row(cells, "td")))));
    });
    return box;
  }

  /** The picture with its styles written into it, what it shows and where it came from. @param {SVGElement} figure */
  standalone(figure) {
    const copy = /** @type {SVGElement} */ (figure.cloneNode(true));
    const originals = figure.querySelectorAll("*");
    const names = ["fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "stroke-linejoin", "stroke-linecap", "opacity", "font-family", "font-size", "font-weight", "font-style", "paint-order"];
    copy.querySelectorAll("*").forEach((node, index) => {
      const style = getComputedStyle(originals[index]);
      for (const name of names) node.setAttribute(name, style.getPropertyValue(name));
      node.removeAttribute("class");
    });
    const ink = getComputedStyle(this.root);
    const [width, height] = [Number(figure.getAttribute("width")), Number(figure.getAttribute("height"))];
    const lines = this.signature(Math.max(40, Math.floor(width / 6.2)));
    const tall = height + 18 * lines.length + 14;
    const font = { "font-family": ink.fontFamily, "font-size": 12 };
    const foot = lines.map((line, index) => {
      const y = height + 18 * (index + 1);
      if (!line.sentence) return s("text", { x: 12, y, fill: ink.color, "fill-opacity": 0.75, ...font }, line.text);
      const probe = this.root.querySelector(`.marker.${colour(line.sentence)} path`);
      const fillColour = probe ? getComputedStyle(probe).fill : ink.color;
      return s("g", {}, s("path", { d: shape(line.sentence - 1, 4.5), fill: fillColour, transform: `translate(18,${y - 4})` }), s("text", { x: 32, y, fill: ink.color, ...font }, line.text));
    });
    copy.prepend(s("rect", { width, height: tall, fill: ink.backgroundColor }));
    copy.append(...foot);
    sized(copy, width, tall);
    copy.setAttribute("xmlns", NS);
    for (const name of ["class", "tabindex", "aria-keyshortcuts"]) copy.removeAttribute(name);
    return { text: new XMLSerializer().serializeToString(copy), width, height: tall };
  }

  /** @param {SVGElement} figure @param {string} name */
  async png(figure, name) {
    const { text, width, height } = this.standalone(figure);
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await image.decode();
    const canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { width: 2 * width, height: 2 * height }));
    const brush = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    brush.scale(2, 2);
    brush.drawImage(image, 0, 0, width, height);
    canvas.toBlob((blob) => blob && download(name, blob, "image/png"));
  }

  /** What stands below a saved picture. @param {number} _room @returns {{text: string, sentence?: number}[]} */
  signature(_room) {
    const made = this.data.provenance;
    return [{ text: `${made.model} (${made.fingerprint.slice(0, 12)}), ${made.dtype}, Molehill ${made.version}, ${made.checked.told}` }];
  }

  /** What made the numbers: a model, unless a view says otherwise. @returns {any} */
  source() {
    const made = this.data.provenance;
    return [`Model ${made.model}, weights `, h("code", {}, made.fingerprint.slice(0, 16)), `, ${made.dtype}; Molehill ${made.version}; `,
      made.checked.passed === false ? h("strong", {}, made.checked.told) : made.checked.told, "."];
  }

  /** The notes, where the numbers come from, and all of them to keep. @param {any[]} sure @param {string} name */
  footOf(sure, name) {
    const json = this.button("Save all as JSON", () => download(`${this.fileName(name)}.json`, JSON.stringify(this.data, null, 1), "application/json"));
    return h("footer", {},
      h("h2", {}, "To be sure"),
      h("ul", {},
        sure.map((note) => h("li", { dir: "auto" }, note)),
        h("li", {}, this.source())),
      h("div", { class: "tools" }, json, this.python()));
  }

  /** The lines of Python that make this view's data, to copy. */
  python() {
    if (!this.data.python) return "";
    const made = this.button("Copy as Python", async () => {
      const told = await copied(this.data.python);
      made.textContent = told ? "Copied" : "Could not copy";
      setTimeout(() => { made.textContent = "Copy as Python"; }, 2000);
    });
    return [made, h("details", { class: "python" }, h("summary", {}, "The same in Python"), h("pre", { tabindex: 0 }, h("code", {}, this.data.python)))];
  }

  /** The list of keys, and the button that opens it. @param {string[][]} keys @param {string} note */
  helpOf(keys, note) {
    const close = this.button("Close", () => this.dialog.close());
    this.dialog = /** @type {HTMLDialogElement} */ (h("dialog", { "aria-label": "Keys" }, h("h2", {}, "Keys"),
      h("dl", {}, keys.map(([key, text]) => [h("dt", {}, key), h("dd", {}, text)])), small(note), close));
    return this.button("Keys: ?", () => this.dialog.showModal(), { class: "quiet", "aria-keyshortcuts": "?" });
  }
}
