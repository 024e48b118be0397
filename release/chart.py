"""The chart as a release has it: the tree's, with the release's images by digest."""

import gzip
import io
import re
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from release.tools import ReleaseError, image_name, run

CHART: Final = "charts/orderfleet"


def package(root: Path, commit: str, registry: str, digests: Mapping[str, str]) -> bytes:
    """Return the chart's archive, which is the same for the same commit, registry and digests."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        archive = directory / "tree.tar"
        run("git", "archive", f"--output={archive}", commit, CHART, cwd=root)
        with tarfile.open(archive) as tar:
            tar.extractall(directory, filter="data")
        values = directory / CHART / "values.yaml"
        values.write_text(with_digests(values.read_text(), registry, digests))
        run("helm", "package", CHART, "--destination", "packages", cwd=directory)
        (packaged,) = (directory / "packages").glob("*.tgz")
        return _repeatable(files_of(packaged.read_bytes()))


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


def files_of(archive: bytes) -> dict[str, bytes]:
    """Return the files of a chart's archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = [(member.name, tar.extractfile(member)) for member in tar if member.isfile()]
        return {name: file.read() for name, file in members if file is not None}


def _repeatable(files: Mapping[str, bytes]) -> bytes:
    """Pack files in the order of their names, all with the same time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)
