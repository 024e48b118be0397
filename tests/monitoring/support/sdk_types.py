"""JSON against the types of Grafana's SDK, which are generated from Grafana's own schema.

The SDK reads any JSON: what it does not know it leaves out, and what has the wrong type it keeps.
"""

import json
import types
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from grafana_foundation_sdk.cog.encoder import JSONEncoder

_UNIONS: Final = (Union, types.UnionType)


def misfits(value: Any, hint: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of what is not of the type that the SDK gives it."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in _UNIONS:
        found = [list(misfits(value, one, path)) for one in inner]
        if [] not in found:
            # The one that got furthest tells most.
            yield from max(found, key=lambda one: max(len(text.split(":")[0]) for text in one))
    elif origin is Literal:
        if value not in inner:
            yield f"{path}: {value!r} is none of {inner}"
    elif origin in (list, dict):
        if not isinstance(value, origin):
            yield f"{path}: {value!r} is no {origin.__name__}"
            return
        items = enumerate(value) if origin is list else value.items()
        for key, item in items:
            yield from misfits(item, inner[-1], f"{path}.{key}")
    # Options of a panel are any object for the SDK: their own type counts, if it made one of them.
    elif wrong := _wrong(value, type(value) if hint in (Any, object) else hint):
        yield f"{path}: {value!r} {wrong}"
    else:
        yield from _fields(value, hint, path)


def _wrong(value: Any, hint: Any) -> str:
    if isinstance(value, dict) and hasattr(hint, "from_json"):
        # The SDK reads a few lists as they are.
        again = json.loads(json.dumps(hint.from_json(value), cls=JSONEncoder))
        return "" if again == value else f"has more than a {hint.__name__}"
    if issubclass(hint, Enum):
        return "" if value in {one.value for one in hint} else f"is no {hint.__name__}"
    if hint in (int, float):
        numbers = int if hint is int else (int, float)
        return "" if isinstance(value, numbers) and not isinstance(value, bool) else "is no number"
    return "" if isinstance(value, hint) else f"is no {hint.__name__}"


def _fields(value: Any, hint: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict) and hasattr(hint, "from_json"):
        value = hint.from_json(value)
    if type(value).__module__.startswith("grafana_foundation_sdk.") and not isinstance(value, Enum):
        for name, inner in get_type_hints(type(value)).items():
            yield from misfits(getattr(value, name), inner, f"{path}.{name}")
