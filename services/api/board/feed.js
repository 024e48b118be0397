// A stream of server-sent events, read by fetch: an EventSource cannot send the API key.
import { ApiError, authorizedFetch, problemOf } from "./api.js";

/**
 * @typedef {object} StreamEvent
 * @property {string} id the cursor
 * @property {string} type
 * @property {any} data
 */

/**
 * @typedef {"connecting" | "open" | "closed" | "ended"} StreamState `closed` is tried again by
 *   itself, `ended` is not: there will be no more
 */

/** A server sends a comment every 15 s. */
const SILENCE_SECONDS = 40;
const MOST_SECONDS = 30;

/**
 * Follows a stream until it is stopped: reconnects by itself, after the last event.
 * @param {string} path
 * @param {object} options
 * @param {(event: StreamEvent) => void} options.onEvent
 * @param {(state: StreamState, error?: Error) => void} [options.onState]
 * @param {string} [options.cursor] the last event that is not wanted
 * @returns {() => void} stops
 */
export function follow(path, { onEvent, onState = () => {}, cursor = "" }) {
  const stopping = new AbortController();
  let wait = 1;

  async function read() {
    onState("connecting");
    const silence = new AbortController();
    let alarm = 0;
    const heard = () => {
      clearTimeout(alarm);
      alarm = setTimeout(() => silence.abort(), SILENCE_SECONDS * 1000);
    };
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream" };
    if (cursor) headers["Last-Event-ID"] = cursor;
    const signal = AbortSignal.any([stopping.signal, silence.signal]);
    try {
      heard();
      const answer = await authorizedFetch(path, { headers, signal });
      if (answer.status === 204) return true;
      if (!answer.ok || !answer.body) throw await problemOf(answer);
      onState("open");
      for await (const event of parse(answer.body, heard)) {
        wait = 1;
        if (event.id) cursor = event.id;
        if (event.data !== undefined) onEvent(event);
      }
    } finally {
      clearTimeout(alarm);
    }
    return false;
  }

  async function run() {
    while (!stopping.signal.aborted) {
      /** @type {Error | undefined} */
      let failure;
      try {
        if (await read()) {
          onState("ended");
          return;
        }
      } catch (error) {
        failure = /** @type {Error} */ (error);
      }
      if (stopping.signal.aborted) return;
      // Without a key nothing comes, and asking again would ask the user again.
      const refused = failure instanceof ApiError && failure.status === 401;
      onState(refused ? "ended" : "closed", failure);
      if (refused) return;
      await sleep(wait, stopping.signal);
      wait = Math.min(wait * 2, MOST_SECONDS);
    }
  }

  run();
  return () => stopping.abort();
}

/**
 * Yields the events of a stream.
 * @param {ReadableStream<BufferSource>} body
 * @param {() => void} heard called for each part, comments too
 * @returns {AsyncGenerator<StreamEvent>}
 */
async function* parse(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { id: "", type: "", lines: /** @type {string[]} */ ([]) };
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = /** @type {string} */ (lines.pop());
      for (const line of lines) {
        const [, field, text] = /** @type {RegExpExecArray} */ (/^([^:]*)(?:: ?(.*))?$/.exec(line));
        if (line === "") {
          const data = event.lines.length ? JSON.parse(event.lines.join("\n")) : undefined;
          if (event.id || data !== undefined) yield { id: event.id, type: event.type, data };
          event = { id: "", type: "", lines: [] };
        } else if (field === "data") event.lines.push(text ?? "");
        else if (field === "id") event.id = text ?? "";
        else if (field === "event") event.type = text ?? "";
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {number} seconds @param {AbortSignal} signal */
function sleep(seconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000, undefined);
    signal.addEventListener("abort", () => resolve(clearTimeout(timer)), { once: true });
  });
}
