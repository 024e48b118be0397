"""Write the dashboards' JSON, or check it (`--check`)."""

import sys

from charts.dashboards.build import FOLDER, texts


def main() -> None:
    """Write, or with `--check` exit 1 if a file is missing, out of date or too many."""
    made = texts()
    if "--check" in sys.argv[1:]:
        found = {path.name: path.read_text() for path in FOLDER.glob("*")}
        wrong = sorted(name for name in made | found if made.get(name) != found.get(name))
        if wrong:
            sys.exit(f"{FOLDER.name}/{', '.join(wrong)}: out of date: make dashboards-json")
        return
    for path in FOLDER.glob("*"):
        path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
