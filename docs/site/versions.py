"""Write the page that lists the versions of the site, each a folder of `versions.py FOLDER`."""

import sys
from pathlib import Path
from string import Template

PAGE = Template("""<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Orderfleet: versions</title>
    <style>
      body { font: 1.1rem/1.6 system-ui, sans-serif; margin: 4rem auto; max-width: 40rem }
    </style>
  </head>
  <body>
    <main>
      <h1>Orderfleet</h1>
      <ul>
$entries
      </ul>
    </main>
  </body>
</html>
""")


def order(name: str) -> tuple[bool, list[int]]:
    """Return the key by which releases come newest first, and all else behind them."""
    numbers = name.split(".")
    release = all(number.isdigit() for number in numbers)
    return release, [int(number) for number in numbers] if release else []


def main() -> None:
    """Write the page."""
    site = Path(sys.argv[1])
    names = sorted((path.parent.name for path in site.glob("*/README.html")), key=order)
    entries = "\n".join(f'        <li><a href="{n}/">{n}</a></li>' for n in reversed(names))
    (site / "index.html").write_text(PAGE.substitute(entries=entries))


if __name__ == "__main__":
    main()
