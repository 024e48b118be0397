// The entry: which page the address names, one at a time.
import { onKeyNeeded } from "./api.js";
import { setConnection } from "./connection.js";
import { h, setAttribute } from "./dom.js";
import { askKey } from "./key.js";
import { showOverview } from "./overview.js";

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const find = /** @type {HTMLFormElement} */ (document.getElementById("find"));

/** Ends the page that is shown. */
let stop = () => {};
/** Counts the pages shown: one that is loaded too late is not shown any more. */
let shown = 0;

/** Shows the page that the address names. */
async function route() {
  const number = ++shown;
  stop();
  stop = () => {};
  main.replaceChildren();
  setConnection("connecting");
  const order = /^#\/orders\/([^/]+)$/.exec(location.hash);
  for (const link of document.querySelectorAll("nav a")) {
    const current = !order && link.getAttribute("href") === "#/";
    setAttribute(link, "aria-current", current && "page");
  }
  if (!order) {
    document.title = "Orderfleet";
    stop = showOverview(main);
    return;
  }
  const id = decodeURIComponent(order[1]);
  document.title = `${id} · Orderfleet`;
  try {
    const { showOrder } = await import("./order.js");
    if (number === shown) stop = showOrder(main, id);
  } catch (error) {
    if (number === shown) {
      main.replaceChildren(
        h("h1", {}, id),
        h("p", { class: "notice bad", role: "alert" }, `The order's page does not load: ${error}`),
      );
    }
  }
}

onKeyNeeded(askKey);
addEventListener("hashchange", () => {
  // The skip link names a place on the page, not a page.
  if (location.hash === "#main") return;
  route();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
find.addEventListener("submit", (event) => {
  event.preventDefault();
  const id = String(new FormData(find).get("id")).trim();
  if (id) location.hash = `#/orders/${encodeURIComponent(id)}`;
  find.reset();
});
route();
