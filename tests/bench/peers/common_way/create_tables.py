"""Create the tables that are missing."""

import asyncio
import os

from sqlalchemy.schema import CreateSchema

from tests.bench.peers.common_way.models import Base, open_engine


async def main() -> None:
    """Create them in the database that DATABASE_URL names."""
    engine, _ = open_engine(os.environ["DATABASE_URL"], 1)
    async with engine.begin() as connection:
        await connection.execute(CreateSchema("gateway", if_not_exists=True))
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())
