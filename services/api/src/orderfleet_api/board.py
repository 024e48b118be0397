"""The page at /board: its files, read once and served by name.

No path of a request reaches the file system. They are open to everybody; what the page shows comes
from the API's other routes, with the reader's key.
"""

from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path, PurePath
from typing import Any, Final

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect
from msgspec import Struct

PATH: Final = "/board"
_INDEX: Final = "index.html"
_TYPES: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_HEADERS: Final = {
    # No inline script or style, nothing of another origin; a form stays on the page.
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # A browser asks each time and gets 304: the parts of a page are of one release.
    "Cache-Control": "no-cache",
}


class _File(Struct, frozen=True):
    content: bytes
    media_type: str
    etag: str


def routes() -> list[HTTPRouteHandler]:
    """Read the files, and return the routes: of the page, of its parts, and from / to it."""
    contents = read_files()

    def answer(name: str, request: Request[Any, Any, Any]) -> Response[bytes]:
        if name not in contents:
            raise NotFoundException
        file = contents[name]
        headers = {**_HEADERS, "ETag": file.etag}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(file.content, media_type=file.media_type, headers=headers)

    @get("/", include_in_schema=False, sync_to_thread=False)
    def root() -> Redirect:
        return Redirect(PATH)

    @get(PATH, include_in_schema=False, sync_to_thread=False)
    def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        return answer(_INDEX, request)

    @get(f"{PATH}/{{name:str}}", include_in_schema=False, sync_to_thread=False)
    def part(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
        return answer(name, request)

    return [root, page, part]


def read_files() -> dict[str, _File]:
    """Return the files by name: of the installed package, or beside the source."""
    packaged = files(__package__) / "board"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / "board"
    return {
        file.name: _File(
            content := file.read_bytes(),
            _TYPES[PurePath(file.name).suffix],
            f'"{sha256(content).hexdigest()[:16]}"',
        )
        for file in folder.iterdir()
        if PurePath(file.name).suffix in _TYPES
    }
