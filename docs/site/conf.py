"""Configuration of Sphinx: the site of the documents, from the repository's own Markdown.

`make docs-site` builds it. Its pages lie as the files do, so a link leads to the same page here and
in the repository; a link to a source file downloads that file.
"""

import html
import tomllib
from pathlib import Path
from runpy import run_path
from typing import Any, Final

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT: Final = Path(__file__).parents[2]

project = "Orderfleet"
release = tomllib.loads((ROOT / "services/core/pyproject.toml").read_text())["project"]["version"]
version = release
copyright = "the contributors of Orderfleet, Apache-2.0"  # noqa: A001

root_doc = "README"
include_patterns = [
    *("README.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md"),
    *("docs/**.md", "charts/orderfleet/README.md", "tests/bench/peers/README.md"),
]
exclude_patterns = [".venv", ".data", ".git", "dist", "services", "**/node_modules"]

extensions = ["myst_parser", "sphinx.ext.githubpages"]
# Anchors of headings are GitHub's.
myst_heading_anchors = 4
myst_fence_as_directive = {"mermaid"}

templates_path = ["templates"]
html_theme = "furo"
html_title = f"{project} {release}"
html_additional_pages = {"index": "index.html"}
html_sidebars = {
    "**": [
        *("sidebar/brand.html", "sidebar/search.html", "sidebar/scroll-start.html"),
        *("sidebar/navigation.html", "versions.html", "sidebar/scroll-end.html"),
    ]
}
# The site loads nothing from another host: Mermaid comes from package-lock.json beside this file.
html_static_path = ["static", "node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js"]
html_js_files = ["mermaid.tiny.js", "diagrams.js"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False

# The navigation is appended to the pages that have others below them.
CONTENTS = run_path(str(Path(__file__).with_name("contents.py")))["CONTENTS"]


class Mermaid(SphinxDirective):
    """A diagram, which Mermaid draws in the browser; without scripts its source is shown."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the diagram's source as the element that Mermaid looks for."""
        source = html.escape("\n".join(self.content))
        return [nodes.raw("", f'<pre class="mermaid">{source}</pre>', format="html")]


def _add_contents(_: Sphinx, page: str, source: list[str]) -> None:
    for caption, entries in CONTENTS.get(page, {}).items():
        lines = ["", "```{toctree}", ":hidden:", ":glob:", f":caption: {caption}", "", *entries]
        source[0] += "\n".join([*lines, "```", ""])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what the repository's Markdown needs."""
    app.add_directive("mermaid", Mermaid)
    app.connect("source-read", _add_contents)
    return {"parallel_read_safe": True}
