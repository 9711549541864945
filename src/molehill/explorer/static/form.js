// @ts-check
/**
 * The form of a question, drawn from the description of its inputs: one line a field, the tokens of
 * a text as chips to choose from. It knows kinds of fields, and no question.
 *
 * @typedef {{name: string, title: string, description?: string, asked_as: string, optional: boolean,
 *   default: any, schema: any}} Field
 */

import { h, clipped } from "./kit.js";
import { post } from "./server.js";

const SOON = 250;

/** The fields of a question that people fill in. @param {any} question @returns {Field[]} */
export function fieldsOf(question) {
  return Object.entries(question.fields).map(([name, schema]) => {
    const kind = schema.anyOf ? schema.anyOf.find((one) => one.type !== "null") ?? {} : schema;
    const own = { ...(kind.$ref ? question.kinds[kind.$ref.split("/").pop()] : kind), ...schema };
    return {
      name, title: own.title ?? name, description: own.description, schema: { ...kind, ...own },
      asked_as: own.asked_as ?? kindOf(kind, own), optional: Boolean(own.optional), default: own.default,
    };
  }).filter((field) => field.asked_as !== "hidden");
}

/**
 * A value from an address, as an input is to be: nothing where it is of another kind.
 * @param {any} schema @param {any} value
 */
export function fitted(schema, value) {
  const kinds = schema.anyOf ?? [schema];
  const types = kinds.map((one) => one.type ?? "string");
  if (value === null) return types.includes("null") ? value : undefined;
  if (Array.isArray(value)) {
    const items = kinds.find((one) => one.type === "array")?.items;
    const each = items && value.map((one) => fitted(items, one));
    return each?.includes(undefined) ? undefined : each;
  }
  if (typeof value === "object") return undefined;
  if (typeof value === "number" && (types.includes("number") || types.includes("integer"))) return value;
  if (typeof value === "boolean" && types.includes("boolean")) return value;
  return types.includes("string") ? String(value) : undefined;
}

/** @param {any} kind @param {any} own */
function kindOf(kind, own) {
  if (kind.enum || own.enum) return "choice";
  if (kind.type === "boolean") return "switch";
  if (kind.type === "integer" || kind.type === "number") return "number";
  if (kind.type === "array") return "words";
  return "line";
}

export class Form {
  /**
   * @param {any} question @param {Record<string, any>} inputs those that are not the default
   * @param {{catalogue: any, model: string, signal: AbortSignal, changed: (inputs: Record<string, any>) => void}} host
   */
  constructor(question, inputs, host) {
    this.question = question;
    this.fields = fieldsOf(question);
    this.host = host;
    this.values = { ...inputs };
    this.tokens = null;
    const made = this.fields.map((field) => this.made(field));
    const texts = made.filter((one) => one.wide).map((one) => one.node);
    const rest = made.filter((one) => !one.wide).map((one) => one.node);
    this.chips = h("div", { class: "chips", role: "listbox", "aria-label": "Tokens", hidden: true });
    this.go = h("button", { type: "submit", class: "go" }, "Show");
    // At the foot, where it moves no field and no button: what moves under a press is not clicked.
    this.help = h("p", { class: "help", "aria-hidden": "true" });
    this.node = h("form", { class: "form", "aria-label": question.title }, texts, this.chips, h("div", { class: "fields" }, rest, this.go), this.help);
    if (!this.fields.length) this.node.hidden = true;
    this.on(this.node, "submit", (event) => {
      event.preventDefault();
      this.host.changed(this.inputs());
    });
    this.on(this.node, "input", () => this.touched());
    this.on(this.node, "focusin", (event) => this.explain(event.target));
    this.touched();
    this.cut();
  }

  /** @param {EventTarget} target @param {string} type @param {(event: any) => void} act */
  on(target, type, act) {
    target.addEventListener(type, act, { signal: this.host.signal });
  }

  /** @param {Field} field */
  value(field) {
    return Object.hasOwn(this.values, field.name) ? this.values[field.name] : field.default;
  }

  /** What differs from the defaults. */
  inputs() {
    const given = { ...this.values };
    for (const field of this.fields) {
      if (JSON.stringify(given[field.name]) === JSON.stringify(field.default)) delete given[field.name];
    }
    return given;
  }

  /** The field that has the focus, in words; they stay until another field has it. @param {Element} target */
  explain(target) {
    const field = this.fields.find((one) => target.id === `in-${one.name}`);
    if (field) this.help.replaceChildren(...(field.description ? [h("strong", {}, `${field.title}: `), field.description] : []));
  }

  /** @param {Field} field @param {any} value */
  put(field, value) {
    this.values[field.name] = value;
  }

  touched() {
    const stale = JSON.stringify(this.inputs()) !== JSON.stringify(this.shown ?? this.inputs());
    this.shown ??= this.inputs();
    this.node.classList.toggle("stale", stale);
  }

  /** @param {Field} field */
  made(field) {
    const id = `in-${field.name}`;
    const kind = field.asked_as;
    const label = h("label", { for: id }, field.title);
    const help = field.description ? h("small", { id: `${id}-help`, class: "unseen" }, field.description) : "";
    const told = field.description ? { "aria-describedby": `${id}-help` } : {};
    const wide = kind === "sentences" || kind === "text";
    const make = { sentences: "area", text: "area", switch: "tick", choice: "choice", features: "choice", examples: "choice", run: "choice", slider: "slider", token: "token", number: "number", layer: "number", head: "number" }[kind] ?? "line";
    const input = this[make](field, { id, ...told });
    const node = h("div", { class: `field ${kind} ${make}` }, label, input, help);
    return { node, wide };
  }

  /** What a field offers for this model, or for any. @param {Field} field @returns {string[]} */
  offersOf(field) {
    const { offers = {} } = field.schema;
    return offers[this.host.model] ?? offers[""] ?? [];
  }

  /** @param {Field} field @param {any} told */
  area(field, told) {
    const many = field.asked_as === "sentences";
    const value = this.value(field);
    const text = many ? (value ?? []).join("\n") : value ?? "";
    const offers = this.offersOf(field);
    // What stands here in grey is what is taken for a field that is left empty.
    const empty = field.optional ? null : offers[0];
    const area = /** @type {HTMLTextAreaElement} */ (h("textarea", { ...told, placeholder: empty, rows: many ? Math.min(8, Math.max(2, (value ?? []).length)) : 1, spellcheck: "false", dir: "auto" }));
    area.value = text;
    this.on(area, "input", () => {
      this.put(field, many ? area.value.split("\n").map((line) => line.trim()).filter(Boolean) : area.value);
      if (field.asked_as === "text") this.cutSoon();
    });
    this.on(area, "keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing && (!many || event.ctrlKey || event.metaKey) && !event.shiftKey) {
        event.preventDefault();
        this.node.requestSubmit();
      }
    });
    if (field.asked_as === "text") this.text = () => area.value;
    if (!offers.length) return area;
    const picks = offers.map((offer) => {
      const pick = h("button", { type: "button", class: "quiet" }, clipped(offer, 44));
      this.on(pick, "click", () => {
        area.value = offer;
        area.dispatchEvent(new Event("input", { bubbles: true }));
        this.node.requestSubmit();
      });
      return pick;
    });
    return [area, h("div", { class: "offers", role: "group", "aria-label": "Examples" }, picks)];
  }

  /** @param {Field} field @param {any} told */
  line(field, told) {
    const many = field.asked_as === "words";
    const value = this.value(field);
    const input = /** @type {HTMLInputElement} */ (h("input", { ...told, type: "text", spellcheck: "false", autocomplete: "off", placeholder: (field.optional ? "none" : null) ?? this.offersOf(field)[0], size: many ? 18 : 12 }));
    input.value = many ? (value ?? []).join(", ") : value ?? "";
    this.on(input, "input", () => {
      const text = input.value.trim();
      if (many) this.put(field, text ? text.split(",").map((one) => one.trim()).filter(Boolean) : []);
      else this.put(field, text || field.default === null && field.optional ? text || null : text);
    });
    return input;
  }

  /** @param {Field} field @param {any} told */
  number(field, told) {
    const { minimum, maximum, exclusiveMinimum, type, step } = field.schema;
    const whole = type === "integer" || field.schema.anyOf?.some((one) => one.type === "integer");
    const input = /** @type {HTMLInputElement} */ (h("input", { ...told, type: "number", min: minimum ?? exclusiveMinimum, max: maximum, step: step ?? (whole ? 1 : "any"), placeholder: field.optional ? "any" : null }));
    const value = this.value(field);
    input.value = value === null || value === undefined ? "" : String(value);
    this.on(input, "input", () => this.put(field, input.value === "" ? null : Number(input.value)));
    return input;
  }

  /** @param {Field} field @param {any} told */
  slider(field, told) {
    const { minimum = 0, maximum = 1, step = "any" } = field.schema;
    const input = /** @type {HTMLInputElement} */ (h("input", { ...told, type: "range", min: minimum, max: maximum, step }));
    input.value = String(this.value(field));
    const shown = h("output", { for: told.id }, input.value);
    this.on(input, "input", () => {
      shown.textContent = input.value;
      this.put(field, Number(input.value));
    });
    this.on(input, "change", () => this.node.requestSubmit());
    return h("span", { class: "slide" }, input, shown);
  }

  /** @param {Field} field @param {any} told */
  tick(field, told) {
    const input = /** @type {HTMLInputElement} */ (h("input", { ...told, type: "checkbox" }));
    input.checked = Boolean(this.value(field));
    this.on(input, "change", () => {
      this.put(field, input.checked);
      this.node.requestSubmit();
    });
    return input;
  }

  /** @param {Field} field @param {any} told */
  choice(field, told) {
    const { catalogue, model } = this.host;
    const names = {
      features: () => catalogue.features.filter((one) => !one.model || one.model === model).map((one) => [one.name, `${one.name}: ${one.count.toLocaleString("en")} at ${one.reads.join(" + ")}`]),
      examples: () => catalogue.examples.map((name) => [name, name]),
      run: () => catalogue.runs.map((name) => [name, name]),
    }[field.asked_as] ?? (() => (field.schema.enum ?? []).map((value) => [value, String(value)]));
    const options = names();
    const value = this.value(field);
    const select = /** @type {HTMLSelectElement} */ (h("select", told, field.optional ? h("option", { value: "" }, "none") : "", options.map(([one, text]) => h("option", { value: one }, text))));
    select.value = value ?? "";
    if (!field.optional && !options.some(([one]) => String(one) === String(value)) && options.length) {
      select.value = String(options[0][0]);
      this.put(field, options[0][0]);
    }
    if (!options.length) select.disabled = true;
    this.on(select, "change", () => {
      this.put(field, select.value === "" ? null : select.value);
      this.node.requestSubmit();
    });
    return select;
  }

  /** A token is chosen from the chips of the text; the number is there for who knows it. @param {Field} field @param {any} told */
  token(field, told) {
    const input = /** @type {HTMLInputElement} */ (this.number(field, told));
    this.on(input, "input", () => this.mark());
    (this.places ??= []).push({ field, input });
    return input;
  }

  // --- tokens as chips -----------------------------------------------------------------------------

  cutSoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.cut(), SOON);
  }

  /** Show the text's tokens, where a token is asked for. */
  async cut() {
    if (!this.places || !this.text) return;
    this.cutting?.abort();
    const stop = this.cutting = new AbortController();
    try {
      const response = await post("/api/tokens", { model: this.host.model, text: this.text() }, { signal: AbortSignal.any([stop.signal, this.host.signal]) });
      if (!response.ok) return this.chips.replaceChildren();
      this.tokens = await response.json();
    } catch {
      return;
    }
    this.turn = 0;
    this.chips.hidden = false;
    const chips = this.tokens.pieces.map((piece, position) => {
      const chip = h("button", { type: "button", role: "option", class: "chip", title: `token ${position}, number ${this.tokens.ids[position]}`, tabindex: position ? -1 : 0 }, piece || "∅", h("sub", {}, position));
      this.on(chip, "click", () => this.choose(position));
      return chip;
    });
    this.chips.replaceChildren(...chips);
    this.walk();
    this.mark();
  }

  /** Arrow keys go from chip to chip. */
  walk() {
    this.chips.onkeydown = (event) => {
      const all = [...this.chips.children];
      const at = all.indexOf(/** @type {any} */ (document.activeElement));
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
      if (to === undefined || !all[to]) return;
      event.preventDefault();
      event.stopPropagation();
      /** @type {HTMLElement} */ (all[to]).focus();
    };
  }

  /** Of two token fields, clicks fill the first and the second in turn. @param {number} position */
  choose(position) {
    const place = this.places[this.turn % this.places.length];
    this.turn += 1;
    place.input.value = String(position);
    this.put(place.field, position);
    this.mark();
    if (this.turn % this.places.length === 0) this.node.requestSubmit();
    else this.touched();
  }

  mark() {
    const length = this.tokens?.pieces.length ?? 0;
    const chosen = this.places.map(({ field }) => {
      const value = this.value(field);
      return value < 0 ? value + length : value;
    });
    [...this.chips.children].forEach((chip, position) => {
      const names = this.places.filter((_, index) => chosen[index] === position).map(({ field }) => field.title);
      chip.setAttribute("aria-selected", String(names.length > 0));
      chip.setAttribute("data-as", this.places.length > 1 ? names.join(", ") : "");
    });
  }
}
