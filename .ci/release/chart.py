"""The chart as a release has it: the tree's, with the images by digest and with the changes."""

import gzip
import io
import json
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from release.tools import ReleaseError, image_name, run
from release.version import CHANGELOG, notes_of

CHART: Final = "charts/orderfleet"


def package(root: Path, commit: str, registry: str, digests: Mapping[str, str]) -> bytes:
    """Return the chart's archive, which is the same for the same commit, registry and digests.

    `helm package` would write the time, and Chart.yaml in the words of its own version.
    """
    files = _tree(root, commit)
    files["values.yaml"] = with_digests(files["values.yaml"], registry, digests)
    about = files["Chart.yaml"]
    (version,) = re.findall(r"(?m)^version: (\S+)$", about)
    changelog = run("git", "show", f"{commit}:{CHANGELOG}", cwd=root)
    files["Chart.yaml"] = with_changes(with_images(about, registry, digests), changelog, version)
    return _pack({f"orderfleet/{name}": text.encode() for name, text in files.items()})


def _tree(root: Path, commit: str) -> dict[str, str]:
    """Return the chart's files as a commit has them, without those in its .helmignore."""
    with tempfile.NamedTemporaryFile() as archive:
        run("git", "archive", f"--output={archive.name}", f"{commit}:{CHART}", cwd=root)
        with tarfile.open(archive.name) as tar:
            files = {name: content.decode() for name, content in _files(tar)}
    ignored = files[".helmignore"].split()
    return {name: text for name, text in files.items() if not _is_ignored(name, ignored)}


def _is_ignored(name: str, patterns: Sequence[str]) -> bool:
    # The two forms that our .helmignore has: a folder at the top, a file's name.
    folders = tuple(pattern for pattern in patterns if pattern.startswith("/"))
    file = name.rpartition("/")[2]
    return f"/{name}".startswith(folders) or any(fnmatch(file, pattern) for pattern in patterns)


def with_digests(values: str, registry: str, digests: Mapping[str, str]) -> str:
    """Return the values with the registry's images, by digest, in place of the local names.

    Raises:
        ReleaseError: the values do not have an image where it is expected.
    """
    for service, digest in digests.items():
        name = image_name(service)
        image = rf'(?m)^( +repository: ){name}\n( +tag: "")\n( +digest: )""$'
        values, count = re.subn(image, rf'\g<1>{registry}/{name}\n\g<2>\n\g<3>"{digest}"', values)
        if count != 1:
            raise ReleaseError(f"values.yaml has the image {name} {count} times, not once")
    return values


def with_images(chart: str, registry: str, digests: Mapping[str, str]) -> str:
    """Return Chart.yaml, whose annotation has the registry's images, by digest.

    Raises:
        ReleaseError: the annotation does not have an image.
    """
    for service, digest in digests.items():
        name = image_name(service)
        chart, count = re.subn(
            rf"(?m)^( +image: ){name}:\S+$", rf"\g<1>{registry}/{name}@{digest}", chart
        )
        if count != 1:
            raise ReleaseError(f"Chart.yaml has the image {name} {count} times, not once")
    return chart


def with_changes(chart: str, changelog: str, version: str) -> str:
    """Return Chart.yaml with the changes of its version, as Artifact Hub shows them.

    A version without a section in the changelog is packaged between two releases.
    """
    try:
        notes = notes_of(changelog, version)
    except ReleaseError:
        return chart
    entries = re.findall(r"(?m)^- (.+(?:\n +\S.*)*)", notes)
    changes = "".join(f"    - {json.dumps(' '.join(entry.split()))}\n" for entry in entries)
    return f"{chart.rstrip()}\n  artifacthub.io/changes: |\n{changes}"


def files_of(archive: bytes) -> dict[str, bytes]:
    """Return the files of a chart's archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return dict(_files(tar))


def _files(tar: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in tar:
        if (file := tar.extractfile(member)) is not None:
            yield member.name, file.read()


def _pack(files: Mapping[str, bytes]) -> bytes:
    """Pack files in the order of their names, all with the same time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)
