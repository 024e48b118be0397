// Elements, lists of them that follow data, and numbers as text.

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Makes an element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [props] attributes; `on...` functions are listeners; null, undefined
 *   and false leave out, true is an attribute without a value
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  fill(node, props, children);
  return node;
}

/**
 * Makes an element of SVG.
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [props]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function s(tag, props = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(node, props, children);
  return node;
}

/** @param {Element} node @param {Record<string, any>} props @param {Child[]} children */
function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else setAttribute(node, name, value);
  }
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      node.append(child instanceof Node ? child : String(child));
    }
  }
}

/**
 * Sets an attribute if it has another value.
 * @param {Element} node
 * @param {string} name
 * @param {string | number | boolean | null | undefined} value
 */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    node.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (node.getAttribute(name) !== text) node.setAttribute(name, text);
}

/**
 * Sets a text if it is another one: what does not change is not laid out again.
 * @param {Node} node
 * @param {string | number} value
 */
export function setText(node, value) {
  const text = String(value);
  if (node.textContent !== text) node.textContent = text;
}

/** @type {WeakMap<Element, Map<string, Element>>} */
const lists = new WeakMap();

/**
 * Makes an element's children those of a list: each item keeps its own, as long as it is there.
 * @template T
 * @param {Element} parent which has no other children
 * @param {Iterable<T>} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => Element} create
 * @param {(node: any, item: T) => void} [update] called for each item, a new one too
 */
export function reconcile(parent, items, keyOf, create, update = () => {}) {
  const before = lists.get(parent) ?? new Map();
  /** @type {Map<string, Element>} */
  const after = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const node = before.get(key) ?? create(item);
    update(node, item);
    after.set(key, node);
  }
  for (const [key, node] of before) if (!after.has(key)) node.remove();
  let next = parent.firstElementChild;
  for (const node of after.values()) {
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
  }
  lists.set(parent, after);
}

/** A number with its thousands apart: 48,211. */
export const number = (/** @type {number} */ value) => value.toLocaleString("en-US");

/** @param {string} amount a decimal string @param {string} currency */
export function money(amount, currency) {
  return `${amount} ${currency}`;
}

/**
 * Returns a duration as text: 340 ms, 2.4 s, 12 s, 3 min 5 s, 2 h 10 min, 3 d 2 h.
 * @param {number} seconds
 * @returns {string}
 */
export function duration(seconds) {
  if (seconds < 0) return `-${duration(-seconds)}`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(whole, 60, "min", 1, "s");
  if (whole < 86_400) return pair(whole, 3600, "h", 60, "min");
  return pair(whole, 86_400, "d", 3600, "h");
}

/** @param {number} n @param {number} big @param {string} a @param {number} small @param {string} b */
function pair(n, big, a, small, b) {
  const rest = Math.floor((n % big) / small);
  return rest ? `${Math.floor(n / big)} ${a} ${rest} ${b}` : `${Math.floor(n / big)} ${a}`;
}

/** The time of day: 14:03:27.123 with, 14:03:27 without milliseconds. */
export const time = (/** @type {string | Date} */ at, milliseconds = false) => {
  const date = new Date(at);
  const text = date.toLocaleTimeString("en-GB");
  return milliseconds ? `${text}.${String(date.getMilliseconds()).padStart(3, "0")}` : text;
};

/** A state or a type of event in words: `timed_out` is timed out. */
export const words = (/** @type {string} */ name) => name.replaceAll("_", " ");
