/**
 * What a person may do with an order now: only what its state and the caller's roles permit.
 *
 * @typedef {import("./history.js").Address} Address
 * @typedef {object} Situation
 * @property {string} id
 * @property {string} state
 * @property {boolean} reviewed a decision is on record
 * @property {Address | null} address
 * @property {string[]} roles
 */
import { send } from "./api.js";
import { h, setAttribute, setText, words } from "./dom.js";
import { ENDS } from "./history.js";

/** The parts of an address, and whether each is required. */
const ADDRESS = Object.entries({
  street: true,
  city: true,
  name: false,
  region: false,
  postal_code: false,
  country: false,
});

/**
 * Returns which actions a state permits, whoever asks, each with the role that it needs.
 *
 * @param {Situation} situation
 * @returns {Record<string, string>}
 */
export function permitted({ state, reviewed }) {
  if (!state || ENDS.includes(state)) return {};
  /** @type {Record<string, string>} */
  const allowed = {};
  if (state === "in_review" && !reviewed) allowed.review = "review";
  // The claim of the dispatch is the point of no return.
  if (state !== "dispatching") Object.assign(allowed, { cancel: "change", address: "change" });
  return allowed;
}

/**
 * Shows the actions.
 *
 * @param {Element} root
 * @param {() => void} onDone called when the API has answered
 */
export function makeActions(root, onDone) {
  /** @type {Situation} */
  let situation = { id: "", state: "", reviewed: false, address: null, roles: [] };
  const answer = h("p", { class: "answer", role: "status", tabindex: "-1" });
  const none = h("p", { class: "detail" });
  const requests = makeRequests();

  /** @type {(path: string, body: object, done: string) => Promise<void>} */
  async function act(path, body, done) {
    setText(answer, "Sending …");
    setAttribute(answer, "data-kind", "");
    const result = await requests.post(`/orders/${situation.id}/${path}`, body);
    setAttribute(answer, "data-kind", result.ok ? "good" : "bad");
    setText(answer, result.ok ? `${done}${result.text}` : result.text);
    onDone();
  }

  const address = addressForm(act, () => situation.address);
  const forms = /** @type {Record<string, HTMLElement>} */ ({
    review: reviewForm(act),
    cancel: cancelForm(act),
    address: address.form,
  });
  root.append(none, ...Object.values(forms), answer);

  /** @param {Situation} next */
  function update(next) {
    situation = next;
    address.fill();
    const allowed = permitted(next);
    for (const [name, form] of Object.entries(forms)) {
      const shown = name in allowed && next.roles.includes(allowed[name]);
      // The button that was pressed goes away: the answer is what to read next.
      if (!shown && form.contains(document.activeElement)) answer.focus();
      setAttribute(form, "hidden", !shown);
    }
    const missing = [...new Set(Object.values(allowed))].filter((role) => !next.roles.includes(role));
    setText(none, reason(next, Object.keys(allowed).length > 0, missing));
    setAttribute(none, "hidden", !none.textContent);
  }

  return { update };
}

/**
 * @param {Situation} situation
 * @param {boolean} any
 * @param {string[]} missing
 */
function reason({ state }, any, missing) {
  if (!state) return "";
  if (!any) {
    return ENDS.includes(state)
      ? "Nothing: the order has ended."
      : "Nothing: the package is being dispatched.";
  }
  return missing.map((role) => `Your API key lacks the role ${role}.`).join(" ");
}

/**
 * Returns what sends changes: a repeat of a request without a definite answer has the same
 * Idempotency-Key, so that the API applies it once.
 */
function makeRequests() {
  let unanswered = "";
  let key = "";
  return {
    /** @type {(path: string, body: object) => Promise<{ok: boolean, text: string}>} */
    async post(path, body) {
      const request = `${path} ${JSON.stringify(body)}`;
      if (request !== unanswered) key = makeKey();
      unanswered = request;
      try {
        const { outcome, state } = await send("POST", path, body, { "Idempotency-Key": key });
        unanswered = "";
        const text =
          outcome === "applied"
            ? ` The order is ${words(state ?? "unknown")}.`
            : " Queued: no worker answered in time, the next one applies it.";
        return { ok: true, text };
      } catch (error) {
        const { status = 0, title = "Error", detail = String(error) } = /** @type {any} */ (error);
        const repeatable = status === 0 || status === 408 || status === 429 || status >= 500;
        if (!repeatable) unanswered = "";
        const again = repeatable ? " Try again: it will be applied once." : "";
        return { ok: false, text: `${status || ""} ${title}: ${detail}${again}`.trim() };
      }
    },
  };
}

/** Returns a random key; `crypto.randomUUID` exists in secure contexts only. */
function makeKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `board-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** @typedef {(path: string, body: object, done: string) => Promise<void>} Act */

/** @param {Act} act */
function reviewForm(act) {
  const reviewer = field("reviewer", "Your name", { maxlength: 200, autocomplete: "name" });
  const why = field("reason", "Reason", { maxlength: 200 });
  /** @type {(approved: boolean, done: string) => () => Promise<void>} */
  const decide = (approved, done) => () =>
    act("review", { approved, reviewer: reviewer.value(), reason: why.value() }, done);
  return h(
    "form",
    { class: "action", "aria-label": "Review", onsubmit: stay },
    h(
      "p",
      { class: "buttons" },
      h("button", { type: "button", class: "primary", onclick: decide(true, "Approved.") }, "Approve"),
      h("button", { type: "button", class: "danger", onclick: decide(false, "Rejected.") }, "Reject"),
    ),
    h("div", { class: "fields" }, reviewer.node, why.node),
  );
}

/** @param {Act} act */
function cancelForm(act) {
  const why = field("reason", "Reason", { maxlength: 200 });
  return disclosed("Cancel the order", "danger", [why.node], () =>
    act("signals/cancel", { reason: why.value() }, "Cancelled."),
  );
}

/**
 * @param {Act} act
 * @param {() => Address | null} current
 */
function addressForm(act, current) {
  const fields = ADDRESS.map(([name, required]) => ({
    name,
    ...field(name, words(name), { maxlength: 200, required }),
  }));
  const form = disclosed("Change the address", "primary", fields.map(({ node }) => node), () => {
    const filled = fields.map(({ name, value }) => [name, value()]).filter(([, text]) => text);
    return act("signals/update-address", { address: Object.fromEntries(filled) }, "Changed.");
  });
  // Only while it is closed, so that what is typed stays: the browser tells that a form was opened
  // when somebody may have typed already.
  const fill = () => {
    if (!form.open) for (const field of fields) field.fill(current()?.[field.name] ?? "");
  };
  form.addEventListener("toggle", fill);
  return { form, fill };
}

/**
 * @param {string} title
 * @param {string} look
 * @param {Node[]} fields
 * @param {() => Promise<void>} submit
 */
function disclosed(title, look, fields, submit) {
  /** @param {Event} event */
  const onsubmit = (event) => {
    event.preventDefault();
    submit();
  };
  return h(
    "details",
    { class: "action" },
    h("summary", {}, title),
    h(
      "form",
      { "aria-label": title, onsubmit },
      h("div", { class: "fields" }, ...fields),
      h("p", { class: "buttons" }, h("button", { class: look }, title)),
    ),
  );
}

/**
 * @param {string} name
 * @param {string} label
 * @param {Record<string, any>} props
 */
function field(name, label, props) {
  const input = h("input", { name, ...props });
  return {
    node: h("label", {}, h("span", {}, label), input),
    value: () => input.value.trim(),
    /** @param {string} text */
    fill: (text) => {
      input.value = text;
    },
  };
}

/** @param {Event} event */
function stay(event) {
  event.preventDefault();
}
