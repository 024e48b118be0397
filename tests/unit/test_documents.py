"""The documents: links lead somewhere, pictures have a text, the site has every page.

`make docs-site` finds broken links too, but `make test` does not build the site.
"""

import re
import runpy
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

_ROOT: Final = Path(__file__).parents[2]
_PAGES: Final = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "charts/orderfleet/*.md", "tests/bench/peers/*.md")
    for path in _ROOT.glob(pattern)
    if "node_modules" not in path.parts
)
_MARKDOWN: Final = MarkdownIt("commonmark").enable("table")


@cache
def _tokens(page: Path) -> tuple[Token, ...]:
    return tuple(
        token
        for block in _MARKDOWN.parse(page.read_text())
        for token in (block, *(block.children or ()))
    )


def _anchors(page: Path) -> Iterator[str]:
    """Yield the anchors of a page's headings, as GitHub makes them."""
    seen: dict[str, int] = {}
    tokens = _tokens(page)
    for opening, heading in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(token.content for token in heading.children or ())
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            count = seen.setdefault(slug, 0)
            seen[slug] += 1
            yield f"{slug}-{count}" if count else slug


def _name(page: Path) -> str:
    return str(page.relative_to(_ROOT))


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [
        str(token.attrs["src" if token.type == "image" else "href"])
        for token in _tokens(page)
        if token.type in {"image", "link_open"}
    ]
    for target in targets:
        path, _, anchor = unquote(target).partition("#")
        if re.match(r"\w+:", target):
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{target}: link a file, which is on the site too"
        if anchor:
            assert file.suffix == ".md", target
            assert anchor in set(_anchors(file)), target


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_pictures_have_a_text(page: Path) -> None:
    for token in _tokens(page):
        if token.type == "image":
            # More than a word: what somebody would see who looks at it.
            assert len(token.content.split()) >= 3, token.attrs["src"]
        elif token.type == "fence" and token.info == "mermaid":
            assert re.search(r"^ *accTitle: \w+", token.content, re.MULTILINE), token.content
        assert "<img" not in token.content


def test_site_has_every_page_once() -> None:
    contents = runpy.run_path(str(_ROOT / "docs/site/contents.py"))["CONTENTS"]
    entries = [
        entry.removeprefix("/")
        for groups in contents.values()
        for group in groups.values()
        for entry in group
    ]
    for page in {_name(page).removesuffix(".md") for page in _PAGES} - {"README"}:
        # The page that has the table is matched by its pattern, too.
        count = sum(fnmatch(page, entry) for entry in entries)
        assert count == 1, f"{page}: name it in docs/site/contents.py"
    assert set(contents) <= {_name(page).removesuffix(".md") for page in _PAGES}
