"""The version of a release: in every file that has it, in the changelog, as a commit and a tag."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from release.tools import ReleaseError, has_tag, require_clean, run, tag_of

_VERSION: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
CHANGELOG: Final = "CHANGELOG.md"
_UNRELEASED: Final = "## [Unreleased]\n"
# Where the version is written; what surrounds it, so that no other 1.2.3 is taken for it.
PLACES: Final = {
    "services/*/pyproject.toml": r'(?m)^(version = "){}(")$',
    "charts/orderfleet/Chart.yaml": r"(?m)(^(?:appVersion|version): |orderfleet-[\w-]+:){}()$",
    # Generated, or written by hand for people who copy it: tests compare them with their sources.
    "docs/openapi.json": r'("version": "){}(")',
    "docs/deployment.md": r"(orderfleet-[\w-]+:){}(\b)",
    "k8s/base/*.yaml": r"(orderfleet-[\w-]+:){}(\b)",
    "k8s/overlays/*/kustomization.yaml": r"(newTag: ){}(\b)",
}


def cut(root: Path, version: str, today: date | None = None) -> str:
    """Make a release's commit and tag; return the tag. Nothing is pushed.

    Raises:
        ReleaseError: the version, the tree or the changelog is not ready; nothing was changed.
    """
    old = current_version(root)
    if _VERSION.fullmatch(version) is None:
        raise ReleaseError(f"VERSION must be x.y.z, not {version!r}")
    if _parts(version) < _parts(old):
        raise ReleaseError(f"VERSION {version} is older than {old}, which the tree has")
    if has_tag(root, tag_of(version)):
        raise ReleaseError(f"the tag {tag_of(version)} exists: a release is never made twice")
    require_clean(root)
    text = (root / CHANGELOG).read_text()
    notes = notes_of(text)
    day = today or datetime.now(UTC).date()
    (root / CHANGELOG).write_text(
        text.replace(_UNRELEASED, f"{_UNRELEASED}\n## [{version}] - {day.isoformat()}\n", 1)
    )
    set_version(root, old, version)
    run("git", "commit", "--quiet", "--all", f"--message=Release {version}", cwd=root)
    message = f"Orderfleet {version}\n\n{notes}\n"
    # Verbatim, as git takes lines with a # for comments.
    arguments = ("--annotate", "--cleanup=verbatim", "--file=-")
    run("git", "tag", *arguments, tag_of(version), cwd=root, stdin=message)
    return tag_of(version)


def current_version(root: Path) -> str:
    """Return the version that the tree has.

    Raises:
        ReleaseError: its files disagree.
    """
    versions: dict[str, str] = {}
    for pattern in ("services/*/pyproject.toml", "charts/orderfleet/Chart.yaml"):
        place = re.compile(PLACES[pattern].format(rf"(?P<version>{_VERSION.pattern})"))
        for path in sorted(root.glob(pattern)):
            for match in place.finditer(path.read_text()):
                versions.setdefault(match["version"], str(path.relative_to(root)))
    if len(versions) != 1:
        raise ReleaseError(f"the files disagree about the version: {versions}")
    return next(iter(versions))


def notes_of(changelog: str, version: str = "Unreleased") -> str:
    """Return a section of the changelog.

    Raises:
        ReleaseError: it has no entry.
    """
    section = re.search(
        rf"^## \[{re.escape(version)}\].*?\n(.*?)(?=^## \[|\Z)", changelog, re.DOTALL | re.MULTILINE
    )
    notes = section[1].strip() if section else ""
    if not re.search(r"^- \S", notes, re.MULTILINE):
        raise ReleaseError(f"{CHANGELOG} has no entry under [{version}]")
    return notes


def set_version(root: Path, old: str, new: str) -> None:
    """Write the new version wherever the old one is.

    Raises:
        ReleaseError: a place no longer has it.
    """
    for pattern, place in PLACES.items():
        expression = re.compile(place.format(re.escape(old)))
        count = 0
        for path in sorted(root.glob(pattern)):
            text, changed = expression.subn(rf"\g<1>{new}\g<2>", path.read_text())
            path.write_text(text)
            count += changed
        if not count:
            raise ReleaseError(f"{pattern} does not have version {old}: see .ci/release/version.py")


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
