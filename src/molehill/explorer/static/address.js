// @ts-check
/**
 * The page's state as an address that can be mailed: `#/ledger?model=lexicon&text=...|point=3`.
 *
 * Before the bar: which question, of which model, with which inputs (those that are not the
 * default). After it: what the view itself keeps. It holds no secret and no path.
 *
 * @typedef {{question: string, model: string, edits: string[], inputs: Record<string, any>, state: string}} Place
 */

/** Longer links are cut by mail programs and chats. */
export const LONGEST = 8000;

/** @param {string} hash @returns {Place} */
export function readAddress(hash) {
  const [shell, ...rest] = hash.replace(/^#\/?/, "").split("|");
  const [name, query = ""] = splitOnce(shell, "?");
  const place = { question: decoded(name), model: "", edits: [], inputs: {}, state: rest.join("|") };
  for (const [key, value] of new URLSearchParams(query)) {
    if (key === "model") place.model = value;
    else if (key === "edits") place.edits = value.split(",").filter(Boolean);
    else if (Object.hasOwn(Object.prototype, key)) continue;
    else place.inputs[key] = valueOf(value);
  }
  return place;
}

/** @param {Place} place */
export function writeAddress({ question, model, edits, inputs, state }) {
  const said = new URLSearchParams();
  if (model) said.set("model", model);
  if (edits.length) said.set("edits", edits.join(","));
  for (const [key, value] of Object.entries(inputs)) said.set(key, textOf(value));
  const query = said.toString().replaceAll("|", "%7C");
  return `#/${encodeURIComponent(question)}${query ? `?${query}` : ""}${state ? `|${state}` : ""}`;
}

/** Texts stand as they are; what would be read as something else is put in quotation marks. @param {any} value */
function textOf(value) {
  return typeof value === "string" && typeof valueOf(value) === "string" && !value.startsWith('"') ? value : JSON.stringify(value);
}

/** @param {string} text */
function valueOf(text) {
  if (!/^(?:-?\d|[[{"]|true$|false$|null$)/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** @param {string} text @param {string} mark */
function splitOnce(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
