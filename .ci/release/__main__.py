"""`python -m release COMMAND`: cut, publish, verify, notes, breaking."""

import argparse
import re
import sys
from pathlib import Path
from typing import Final

from release.artifacts import publish
from release.contract import breaking_changes, last_release
from release.settings import Settings
from release.tools import ReleaseError, tag_of
from release.verify import verify
from release.version import CHANGELOG, cut, notes_of

ROOT: Final = Path(__file__).parents[2]


def main() -> None:
    """Run a command; what is wrong is one line and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("cut").add_argument("version")
    commands.add_parser("breaking").add_argument("since", nargs="?")
    commands.add_parser("publish")
    commands.add_parser("notes").add_argument("version")
    commands.add_parser("verify").add_argument("version")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "cut":
                tag = cut(ROOT, arguments.version)
                print(
                    f"release: {tag} is a commit and a tag here; push them: git push --follow-tags"
                )
            case "publish":
                folder = publish(ROOT, Settings.from_environment(ROOT))
                print(f"release: everything is pushed and signed; documents: {folder}")
            case "breaking":
                _show_breaking_changes(arguments.since or last_release(ROOT))
            case "notes":
                print(notes_of((ROOT / CHANGELOG).read_text(), arguments.version))
            case "verify":
                _verify(arguments.version)
    except ReleaseError as error:
        sys.exit(f"release: {error}")


def _show_breaking_changes(since: str | None) -> None:
    if since is None:
        print("release: there is no release yet, so nothing breaks")
        return
    changes = breaking_changes(ROOT, since)
    for change in changes:
        print(f"since {since}: {change}")
    notes = notes_of((ROOT / CHANGELOG).read_text()) if changes else ""
    if changes and not re.search(r"^- Breaking: ", notes, re.MULTILINE):
        raise ReleaseError(f"{CHANGELOG} has no entry `- Breaking: ...` for {len(changes)} changes")


def _verify(version: str) -> None:
    folder = ROOT / "dist" / "release" / version
    for line in verify(ROOT, Settings.from_environment(ROOT), version, folder):
        print(f"OK    {line}")
    print(f"release: {tag_of(version)} is what the tree says")


if __name__ == "__main__":
    main()
