"""What a user has to change since a release: the API's document and the chart's values.

oasdiff compares the documents. No tool does so for JSON Schemas of values, so that is done here.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from release.tools import run

OPENAPI: Final = "docs/openapi.json"
VALUES: Final = "charts/orderfleet/values.schema.json"
# Bounds of a value, and whether a higher one allows less.
_BOUNDS: Final = {
    "minimum": True,
    "exclusiveMinimum": True,
    "minLength": True,
    "minItems": True,
    "maximum": False,
    "exclusiveMaximum": False,
    "maxLength": False,
    "maxItems": False,
}


def last_release(root: Path) -> str | None:
    """Return the tag of the release before HEAD, if there is any."""
    tags = run("git", "tag", "--merged", "HEAD", "--sort=-version:refname", cwd=root).split()
    head = run("git", "tag", "--points-at", "HEAD", cwd=root).split()
    return next((t for t in tags if re.fullmatch(r"v\d+\.\d+\.\d+", t) and t not in head), None)


def breaking_changes(root: Path, since: str) -> list[str]:
    """Return the changes since a release that break a caller of the API, or a user's values."""
    old = json.loads(run("git", "show", f"{since}:{VALUES}", cwd=root))
    new = json.loads((root / VALUES).read_text())
    return [*_of_the_api(root, since), *of_values(old, new)]


def of_values(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield what values that one schema accepts do wrong by the other."""
    for problem in (*_of_kind(old, new), *_of_bounds(old, new)):
        yield f"{path or 'the values'}: {problem}"
    for required in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{path}.{required}: is required".lstrip(".")
    after = new.get("properties", {})
    for key, schema in old.get("properties", {}).items():
        inner = f"{path}.{key}".lstrip(".")
        if key in after:
            yield from of_values(schema, after[key], inner)
        elif new.get("additionalProperties") is False:
            yield f"{inner}: does not exist any more"
    if isinstance(old.get("items"), Mapping) and isinstance(new.get("items"), Mapping):
        yield from of_values(old["items"], new["items"], f"{path}[]")


def _of_kind(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    types = _types(old) - _types(new)
    if _types(new) and (types or not _types(old)):
        yield f"no longer {' or '.join(sorted(types)) or 'of any type'}"
    if "enum" in new:
        removed = [value for value in old.get("enum", ()) if value not in new["enum"]]
        if removed or "enum" not in old:
            yield f"no longer {removed or 'any value'}, but one of {new['enum']}"


def _of_bounds(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for bound, higher_is_less in _BOUNDS.items():
        before, after = old.get(bound), new.get(bound)
        if after is not None and (
            before is None or (after > before if higher_is_less else after < before)
        ):
            yield f"{bound} is {after}, was {before}"
    if new.get("pattern") not in (None, old.get("pattern")):
        yield f"pattern is {new['pattern']}, was {old.get('pattern')}"


def _types(schema: Mapping[str, Any]) -> set[str]:
    types = schema.get("type", ())
    return {types} if isinstance(types, str) else set(types)


def _of_the_api(root: Path, since: str) -> Iterator[str]:
    with TemporaryDirectory() as directory:
        before = Path(directory) / "before.json"
        before.write_text(run("git", "show", f"{since}:{OPENAPI}", cwd=root))
        arguments = ("--format", "json", before, root / OPENAPI)
        for change in json.loads(run("oasdiff", "breaking", *arguments, cwd=root) or "[]"):
            where = f"{change.get('operation', '')} {change.get('path', '')}".strip()
            yield f"{where}: {change['text']}"
