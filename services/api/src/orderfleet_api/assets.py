"""The files of the page under /docs, so that it works without the internet.

They are served from memory by name: no path of a request reaches the file system.
"""

from importlib.resources import files
from typing import Final

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

PATH: Final = "/assets"
_TYPES: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-standalone-preset.js": "text/javascript",
    "swagger-ui.css": "text/css",
}


def route() -> HTTPRouteHandler:
    """Read the assets, 3.5 MB, and return their route."""
    package = files("litestar_offline_docs") / "static"
    contents = {name: (package / name).read_bytes() for name in _TYPES}

    @get(f"{PATH}/{{name:str}}", include_in_schema=False, sync_to_thread=False)
    def asset(name: FromPath[str]) -> Response[bytes]:
        if name not in contents:
            raise NotFoundException
        return Response(contents[name], media_type=_TYPES[name])

    return asset
