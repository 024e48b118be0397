// Calls of the API. Its key is kept for the tab, and asked for once, by whichever call needs it first.

const KEY = "orderfleet.key";
const SECONDS = 10;

/** An answer that is a problem document (RFC 9457), or none at all: `status` is 0 then. */
export class ApiError extends Error {
  /** @param {number} status @param {Record<string, any>} problem */
  constructor(status, problem) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.status = status;
    /** @type {string} */
    this.title = problem.title || `HTTP ${status}`;
    /** @type {string} */
    this.detail = problem.detail || "";
    /** The whole document: `role`, `reason`, `errors`. @type {Record<string, any>} */
    this.problem = problem;
  }
}

/** @type {(refused: boolean) => Promise<string>} */
let ask = () => Promise.reject(new ApiError(401, { title: "Unauthorized" }));
/** @type {Promise<void> | null} */
let asking = null;

/**
 * Registers who asks for the key: gets whether the last one was refused, returns the next one, or
 * rejects if the user enters none.
 * @param {(refused: boolean) => Promise<string>} askKey
 */
export function onKeyNeeded(askKey) {
  ask = askKey;
}

/** Drops the key of this tab, so that the next call asks for one. */
export function forgetKey() {
  sessionStorage.removeItem(KEY);
}

/**
 * Fetches a path with the key, and once more with another one if that is refused.
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>} any answer but 401
 */
export async function authorizedFetch(path, options = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const headers = new Headers(options.headers);
    if (key) headers.set("Authorization", `Bearer ${key}`);
    const answer = await reach(path, { ...options, headers });
    if (answer.status !== 401) return answer;
    // Another call may have asked meanwhile.
    if (sessionStorage.getItem(KEY) === key) await askOnce(key !== null);
  }
}

/**
 * Returns the JSON at a path.
 * @param {string} path
 * @returns {Promise<any>}
 */
export function get(path) {
  return send("GET", path);
}

/**
 * Sends a request and returns the answer's JSON, null if it has none.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body] sent as JSON
 * @param {Record<string, string>} [headers]
 * @returns {Promise<any>}
 */
export async function send(method, path, body, headers = {}) {
  const all = new Headers({ Accept: "application/json", ...headers });
  if (body !== undefined) all.set("Content-Type", "application/json");
  const answer = await authorizedFetch(path, {
    method,
    headers: all,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(SECONDS * 1000),
  });
  if (!answer.ok) throw await problemOf(answer);
  return answer.status === 204 ? null : answer.json();
}

/**
 * Returns the error of an answer.
 * @param {Response} answer
 */
export async function problemOf(answer) {
  const problem = await answer.json().catch(() => ({ title: answer.statusText }));
  return new ApiError(answer.status, problem);
}

/** @param {string} path @param {RequestInit} options */
async function reach(path, options) {
  try {
    return await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    if (options.signal?.aborted && /** @type {Error} */ (error).name === "AbortError") throw error;
    const late = /** @type {Error} */ (error).name === "TimeoutError";
    const detail = late ? `No answer within ${SECONDS} s.` : "The API cannot be reached.";
    throw new ApiError(0, { title: "No answer", detail });
  }
}

/** @param {boolean} refused */
function askOnce(refused) {
  asking ??= ask(refused)
    .then((key) => sessionStorage.setItem(KEY, key))
    .finally(() => {
      asking = null;
    });
  return asking;
}
