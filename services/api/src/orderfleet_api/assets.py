"""What the page under /docs loads, so that it works without the internet.

From memory, by name: no path of a request ever meets the file system.
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
    """Return the route of the assets, which are read now: 3.5 MB."""
    package = files("litestar_offline_docs") / "static"
    contents = {name: (package / name).read_bytes() for name in _TYPES}

    @get(f"{PATH}/{{name:str}}", include_in_schema=False, sync_to_thread=False)
    def asset(name: FromPath[str]) -> Response[bytes]:
        if name not in contents:
            raise NotFoundException
        return Response(contents[name], media_type=_TYPES[name])

    return asset
