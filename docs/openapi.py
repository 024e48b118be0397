"""Write docs/openapi.json, the contract of the API with keys, or check it (`--check`)."""

import asyncio
import json
from pathlib import Path
from typing import Any

from docs.generated import write_or_check
from orderfleet.store.pool import open_pool
from orderfleet.temporal.client import connect
from orderfleet_api.app import create_routes
from orderfleet_api.backends import Backends
from orderfleet_api.settings import ApiSettings

PAGE = Path(__file__).parent / "openapi.json"


async def document() -> dict[str, Any]:
    """Return the document; neither Postgres nor Temporal is called."""
    settings = ApiSettings(api_keys=f"docs:{'0' * 64}")
    temporal = await connect(settings, lazy=True)
    async with open_pool(settings.database_url, size=1, wait_seconds=0, lazy=True) as pool:
        return create_routes(Backends(pool, temporal, settings)).openapi_schema.to_schema()


if __name__ == "__main__":
    write_or_check(PAGE, json.dumps(asyncio.run(document()), indent=1, ensure_ascii=False) + "\n")
