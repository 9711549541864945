// @ts-check
/**
 * Asking the server: an answer comes as lines (the place in its queue, how far it is, the answer),
 * and is ended on the server by ending the request.
 */

/** Answers that are kept for going back and forth. */
const KEPT = 16;
/** @type {Map<string, any>} */
const kept = new Map();
/** @type {Map<string, Promise<any>>} what is asked before it is needed */
const ahead = new Map();

/**
 * @param {string} question @param {Record<string, any>} inputs
 * @param {{signal?: AbortSignal, onProgress?: (told: any) => void, fresh?: boolean}} [how]
 * @returns {Promise<any>} the view's data
 */
export async function asked(question, inputs, { signal, onProgress, fresh = false } = {}) {
  const key = JSON.stringify([question, inputs]);
  if (!fresh && kept.has(key)) return again(key);
  if (!fresh && ahead.has(key)) return joined(key, signal);
  const response = await post(`/api/ask/${question}`, inputs, { signal, accept: "application/x-ndjson" });
  if (!(response.headers.get("content-type") ?? "").includes("ndjson")) throw await refusal(response);
  for await (const told of lines(response)) {
    if (told.kind === "answer") return keep(key, told.data);
    if (told.kind === "error") throw Object.assign(new Error(plainly(told.message)), { status: told.status });
    onProgress?.(told);
  }
  throw new Error("The answer was cut off: is `molehill explore` still running?");
}

/**
 * Ask what will be needed next, while somebody reads.
 * @param {string} question @param {Record<string, any>} inputs @param {AbortSignal} signal
 */
export function askAhead(question, inputs, signal) {
  const key = JSON.stringify([question, inputs]);
  if (kept.has(key) || ahead.has(key)) return;
  const coming = asked(question, inputs, { signal }).finally(() => ahead.delete(key));
  ahead.set(key, coming);
  coming.catch(() => {});
}

/** What is under way already, for as long as it is wanted. @param {string} key @param {AbortSignal} [signal] */
function joined(key, signal) {
  return new Promise((resolve, reject) => {
    signal?.addEventListener("abort", () => reject(new DOMException("no longer wanted", "AbortError")));
    ahead.get(key)?.then(resolve, reject);
  });
}

/** @param {string} path @param {any} body @param {{signal?: AbortSignal, accept?: string}} [how] */
export async function post(path, body, { signal, accept = "application/json" } = {}) {
  try {
    return await fetch(path, { method: "POST", body: JSON.stringify(body), signal, headers: { "content-type": "application/json", accept } });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error("The server does not answer: is `molehill explore` still running?");
  }
}

/** @param {string} path */
export async function fetched(path) {
  const response = await fetch(path);
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** What a refusal says, for people. @param {Response} response */
export async function refusal(response) {
  const said = await response.json().catch(() => ({}));
  return Object.assign(new Error(plainly(said.error ?? `The server said ${response.status}.`)), { status: response.status });
}

/** A remedy that only Python has is of no use on a page. @param {string} told */
function plainly(told) {
  return told.replace(", or truncate it knowingly (truncate=True)", "").replace(/ This was the rule '\w+'; rule='\w+' is looser\./, "");
}

/** @param {Response} response */
async function* lines(response) {
  const reader = /** @type {ReadableStream} */ (response.body).pipeThrough(new TextDecoderStream()).getReader();
  /** @type {string[]} */
  let parts = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const pieces = value.split("\n");
    parts.push(pieces[0]);
    for (const piece of pieces.slice(1)) {
      yield JSON.parse(parts.join(""));
      parts = [piece];
    }
  }
}

/** @param {string} key @param {any} data */
function keep(key, data) {
  kept.set(key, data);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value ?? "");
  return data;
}

/** @param {string} key */
function again(key) {
  const data = kept.get(key);
  kept.delete(key);
  kept.set(key, data);
  return data;
}
