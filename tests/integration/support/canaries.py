"""Canaries: texts that stand for personal data, and the search for them in every store."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from temporalio.client import Client

from orderfleet.domain.orders import Address
from orderfleet.store.pool import Pool

# In every encoding of JSON the first part is the same.
_SUFFIXES: Final = ("Zoë Müller", "Łódź 12", "王小明", "Ζωή", "🙂 Ann", "O'Neil & <b>")
_PARTS: Final = Address.__struct_fields__


@dataclass
class Canaries:
    """Hands out canaries, each once."""

    names: list[str] = field(default_factory=list)

    def text(self) -> str:
        name = f"canary{len(self.names):03d}x"
        self.names.append(name)
        return f"{name} {_SUFFIXES[len(self.names) % len(_SUFFIXES)]}"

    def address(self) -> Address:
        return Address(**{part: self.text() for part in _PARTS})

    def within(self, texts: Iterable[str | bytes]) -> set[str]:
        """Return the canaries that any of the texts contains."""
        left = {name: name.encode() for name in self.names}
        found: set[str] = set()
        for text in texts:
            data = text.encode() if isinstance(text, str) else text
            if b"canary" in data:
                found |= {name for name, part in left.items() if part in data}
        return found


async def rows(owner: Pool) -> list[str]:
    """Return every row of every table of a database as a text."""
    tables = await owner.fetch(
        "SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables"
        " WHERE table_type = 'BASE TABLE'"
        " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
    )
    assert {"public.orders", "public.events", "gateway.shipments"} <= {
        table["name"] for table in tables
    }
    texts = [await owner.fetch(f"SELECT t::text FROM {table['name']} AS t") for table in tables]  # noqa: S608
    return [row[0] for found in texts for row in found]


def sqlite_values(path: Path) -> Iterator[str | bytes]:
    """Yield every text and blob of every table of Temporal's database."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        assert ("history_node",) in tables
        for (table,) in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608
                yield from (value for value in row if isinstance(value, str | bytes))


async def executions(client: Client) -> list[str]:
    """Return what Temporal's API tells of every workflow: list, memo, description, history."""
    texts = []
    async for listed in client.list_workflows():
        handle = client.get_workflow_handle(listed.id, run_id=listed.run_id)
        texts += [
            str(listed.raw_info),
            str((await handle.describe()).raw_description),
            (await handle.fetch_history()).to_json(),
        ]
    return texts
