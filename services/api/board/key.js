// The dialog that asks for an API key.
import { ApiError } from "./api.js";
import { h } from "./dom.js";

/**
 * Asks for a key.
 * @param {boolean} refused whether the one before was refused
 * @returns {Promise<string>}
 */
export function askKey(refused) {
  const input = h("input", {
    id: "key",
    type: "password",
    autocomplete: "off",
    required: true,
    spellcheck: "false",
    "aria-describedby": "key-why",
  });
  const why = refused
    ? "The API refused that key. Is it complete, and still in force?"
    : "The API requires a key with the role read. It stays in this tab until the tab is closed.";
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "key-title" }, "API key"),
    h("p", { id: "key-why", class: refused ? "bad" : "" }, why),
    h("label", { for: "key" }, "Key"),
    input,
    h(
      "p",
      { class: "buttons" },
      h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
      h("button", { value: "ok", class: "primary" }, "Continue"),
    ),
  );
  const dialog = h("dialog", { class: "key", "aria-labelledby": "key-title" }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener("close", () => {
      const key = input.value.trim();
      dialog.remove();
      if (dialog.returnValue === "ok" && key) resolve(key);
      else reject(new ApiError(401, { title: "No key", detail: "An API key is required." }));
    });
  });
}
