"""The command `payload-key`: make and rotate the file of keys that encrypt payloads."""

import time
from pathlib import Path
from typing import Final

from orderfleet.temporal.payload_keys import KeyRing, PayloadKey, make_key, read_keys
from orderfleet_cli.errors import CommandError
from orderfleet_cli.printing import show, show_json
from orderfleet_cli.private_files import file_errors, write_private

STDOUT: Final = "-"


def write_new(file: str, after: float, *, as_json: bool) -> None:
    """Write a file with one new key, or print the line.

    Raises:
        CommandError: the file exists, or cannot be written.
    """
    key = make_key(_since(after))
    if file == STDOUT:
        if as_json:
            show_json({"id": key.id, "line": str(key)})
        else:
            print(key)
        return
    path = Path(file)
    if path.exists():
        raise CommandError(f"{path} exists: `orderfleet payload-key rotate` adds a key to it")
    write_private(path, f"{key}\n")
    _report(key, f"{path}: a new file with the key {key.id}", as_json=as_json)


def rotate(file: str, after: float, *, as_json: bool) -> None:
    """Put a new key before those of a file, whose lines stay as they are.

    Raises:
        CommandError: the file cannot be read or written, or is malformed.
    """
    path = Path(file)
    ring = _read(path)
    key = make_key(_since(after))
    with file_errors():
        text = path.read_text()
    write_private(path, f"{key}\n{text}")
    old = f"{len(ring.keys)} older {'keys decrypt' if len(ring.keys) > 1 else 'key decrypts'}"
    _report(key, f"{path}: the new key {key.id} is the first; {old}", as_json=as_json)


def _read(path: Path) -> KeyRing:
    try:
        with file_errors():
            return read_keys(path)
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from None


def _since(after: float) -> float:
    return time.time() + after if after else 0.0


def _report(key: PayloadKey, text: str, *, as_json: bool) -> None:
    since = str(key).partition(" ")[2] or None
    if as_json:
        show_json({"id": key.id, "encrypts_from": since})
        return
    show(text)
    show(f"It encrypts from {since} on." if since else "It encrypts at once.")
