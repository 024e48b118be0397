"""The folder of a backup: a dump of each database, a manifest, and the checksums of all files.

The chart's CronJob writes the same folder; `sha256sum -c SHA256SUMS` checks it as well.
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from orderfleet_cli.errors import CommandError
from orderfleet_cli.private_files import file_errors, write_private

MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"
_FORMAT: Final = 1
_DIGITS: Final = 64


class Kind(StrEnum):
    """The databases of a fleet, in the order in which they are backed up.

    Visibility, Temporal's index, comes last: it then has every workflow that Temporal has.
    """

    FLEET = "fleet"
    TEMPORAL = "temporal"
    VISIBILITY = "visibility"


class Dump(Struct, frozen=True):
    """One database of a backup.

    Attributes:
        database: which one.
        file: the name of its file.
        taken_at: what was committed before is in it, by the clock of its server.
        bytes: the size of the file.
        server: the version of its server.
    """

    database: Kind
    file: str
    taken_at: datetime
    bytes: int
    server: str

    @property
    def is_sqlite(self) -> bool:
        """Whether it is the file of Temporal's development server, not a dump of Postgres."""
        return self.file.endswith(".db")


class Manifest(Struct, frozen=True):
    """What a backup contains.

    Attributes:
        schema: the version of the fleet's schema.
        dumps: the databases.
        orderfleet: the version of the release that made the backup.
        format: the version of this format.
    """

    schema: int
    dumps: list[Dump]
    orderfleet: str = version("orderfleet-cli")
    format: int = _FORMAT


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, then the checksums of all files.

    Raises:
        CommandError: a file cannot be read or written.
    """
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode()
    write_private(folder / MANIFEST, f"{text}\n")
    names = [*(dump.file for dump in manifest.dumps), MANIFEST]
    sums = "".join(f"{_sha256(folder / name)}  {name}\n" for name in names)
    write_private(folder / SUMS, sums)


@file_errors()
def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a backup whose files are all there and unchanged.

    Raises:
        CommandError: the folder is no backup, or a file is missing or changed.
    """
    if not (folder / MANIFEST).is_file() or not (folder / SUMS).is_file():
        raise CommandError(f"{folder} is no backup: it lacks {MANIFEST} or {SUMS}")
    sums = _read_sums(folder / SUMS)
    _check(folder, MANIFEST, sums)
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except msgspec.MsgspecError as error:
        raise CommandError(f"{folder / MANIFEST}: {error}") from None
    if manifest.format != _FORMAT:
        raise CommandError(f"{folder / MANIFEST}: format {manifest.format} is unknown here")
    for dump in manifest.dumps:
        _check(folder, dump.file, sums)
    return manifest


def _check(folder: Path, name: str, sums: dict[str, str]) -> None:
    path = folder / name
    if Path(name).name != name or not path.is_file():
        raise CommandError(f"{path} is missing")
    if sums.get(name) != _sha256(path):
        raise CommandError(f"{path} does not have the checksum of {SUMS}: the backup is damaged")


def _read_sums(path: Path) -> dict[str, str]:
    lines = [line.split(maxsplit=1) for line in path.read_text(errors="replace").splitlines()]
    return {
        # sha256sum marks a binary file by an asterisk.
        parts[1].removeprefix("*"): parts[0]
        for parts in lines
        if len(parts) > 1 and len(parts[0]) == _DIGITS
    }


@file_errors()
def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
