"""An image as `docker save` writes it: its configuration, its layers, its files."""

import gzip
import json
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Self, cast

_GZIP: Final = b"\x1f\x8b"
_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"


@dataclass(frozen=True)
class Layer:
    digest: str
    size: int
    # Its files, as absolute paths.
    files: frozenset[str] = field(repr=False)


@dataclass
class Archive:
    """The only format that every builder can write, and that has all of an image."""

    config: dict[str, Any]
    # When its last step was built, with its time zone.
    created: str
    layers: list[Layer] = field(default_factory=list)
    _files: dict[str, tuple[tarfile.TarFile, tarfile.TarInfo]] = field(
        default_factory=dict, repr=False
    )

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Self]:
        with ExitStack() as stack:
            outer = stack.enter_context(tarfile.open(path))
            (manifest,) = json.load(_member(outer, "manifest.json"))
            image = json.load(_member(outer, manifest["Config"]))
            self = cls(image.get("config") or {}, image["created"])
            for digest, name in zip(image["rootfs"]["diff_ids"], manifest["Layers"], strict=True):
                layer = stack.enter_context(tarfile.open(fileobj=_plain(_member(outer, name))))
                files = {self._lay(layer, member) for member in layer if not member.isdir()}
                self.layers.append(Layer(digest, layer.offset, frozenset(files)))
            yield self

    @property
    def files(self) -> set[str]:
        """All files, links among them, as absolute paths."""
        return set(self._files)

    def under(self, *directories: str) -> set[str]:
        return {path for path in self.files if path.startswith(tuple(f"{d}/" for d in directories))}

    def read(self, path: str, size: int = -1) -> bytes:
        layer, member = self._files[path]
        with _contents(layer, member) as file:
            return file.read(size)

    def member(self, path: str) -> tarfile.TarInfo:
        return self._files[path][1]

    def _lay(self, layer: tarfile.TarFile, member: tarfile.TarInfo) -> str:
        """Apply a layer's file to the files of the layers below; a whiteout removes files."""
        path = posixpath.normpath(f"/{member.name}")
        parent, name = posixpath.split(path)
        if not name.startswith(_WHITEOUT):
            self._files[path] = (layer, member)
            return path
        gone = posixpath.join(parent, name.removeprefix(_WHITEOUT))
        inside = f"{parent if name == _OPAQUE else gone}/"
        for old in [old for old in self._files if old == gone or old.startswith(inside)]:
            del self._files[old]
        return path


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    return _contents(tar, tar.getmember(name))


def _contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    assert file is not None, f"{member.name} is not a file"
    return file


def _plain(file: IO[bytes]) -> IO[bytes]:
    """Decompress a layer; some builders compress layers."""
    magic = file.read(len(_GZIP))
    file.seek(0)
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if magic == _GZIP else file
