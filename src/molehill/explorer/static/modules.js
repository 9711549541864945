// @ts-check
/** The views' modules and style sheets, each fetched once, when it is first shown. */

import { h } from "./kit.js";

/** @type {Map<string, Promise<any>>} */
const modules = new Map();

/** @param {string} view @returns {Promise<any>} */
export function moduleOf(view) {
  if (!modules.has(view)) {
    const sheet = h("link", { rel: "stylesheet", href: `/static/${view}.css` });
    const dressed = new Promise((resolve) => {
      sheet.addEventListener("load", resolve);
      sheet.addEventListener("error", resolve);
    });
    document.head.append(sheet);
    modules.set(view, Promise.all([import(`/static/${view}.js`), dressed]).then(([module]) => module));
  }
  return /** @type {Promise<any>} */ (modules.get(view));
}
