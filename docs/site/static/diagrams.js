// Draws the diagrams in the colours of the page, and again when somebody changes those.
const diagrams = [...document.querySelectorAll("pre.mermaid")];
const sources = diagrams.map((diagram) => diagram.textContent);
const systemDark = window.matchMedia("(prefers-color-scheme: dark)");

async function draw() {
  const theme = document.body.dataset.theme;
  const dark = theme === "dark" || (theme !== "light" && systemDark.matches);
  mermaid.initialize({ startOnLoad: false, theme: dark ? "dark" : "neutral" });
  diagrams.forEach((diagram, index) => {
    delete diagram.dataset.processed;
    diagram.textContent = sources[index];
  });
  await mermaid.run({ nodes: diagrams });
}

if (diagrams.length > 0) {
  draw();
  new MutationObserver(draw).observe(document.body, { attributeFilter: ["data-theme"] });
  systemDark.addEventListener("change", draw);
}
