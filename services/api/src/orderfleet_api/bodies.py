"""The body of a request: strict JSON of the route's type, without conversions.

Not Litestar's own decoding, which takes `"1"` for true and `"null"` for nothing, as a query needs.
"""

import json
import math
import re
from typing import Any, Final, NamedTuple, NoReturn

import msgspec
from litestar import Request
from litestar.plugins.problem_details import ProblemDetailsException

from orderfleet_api import errors
from orderfleet_api.violations import in_words

_INDEX: Final = re.compile(r"\[(\d+)\]")
_NAMED: Final = re.compile(r"(?:missing required|contains unknown) field `([^`]+)`")
_AT: Final = re.compile(r" - at `\$([^`]*)`")


class StrictRequest(Request[Any, Any, Any]):
    """A request whose body is decoded by `decode`; Litestar takes the value as it is."""

    async def json(self) -> Any:
        """Return the body as the type of the route's `data`."""
        field = self.route_handler.parsed_data_field
        return None if field is None else decode(await self.body(), field.annotation)


def decode(body: bytes, type_: Any) -> Any:
    """Return the body as a value of the type.

    Raises:
        ProblemDetailsException: 400 if it is not JSON, 422 with a pointer if it does not fit.
    """
    try:
        document = json.loads(
            body.decode(),
            object_pairs_hook=_members,
            parse_float=_number,
            parse_constant=_not_a_number,
        )
        if pointer := _duplicate(document):
            raise errors.unprocessable((pointer, "Duplicate member"))
        # Encoded again, which finds half a surrogate pair; `msgspec.convert` would keep it.
        return msgspec.json.decode(msgspec.json.encode(document), type=type_)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except RecursionError:
        raise errors.bad_request("The JSON is nested too deeply.") from None
    except UnicodeError:
        raise errors.bad_request("The body is not valid UTF-8.") from None
    except (ValueError, OverflowError, msgspec.DecodeError) as error:
        raise errors.bad_request(f"The body is not valid JSON: {error}") from None


def _number(text: str) -> int | float:
    """Return a whole number as an integer: in JSON, 1.0 and 1 are the same."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return int(number) if number.is_integer() else number


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


class _Duplicate(NamedTuple):
    """Replaces an object with a duplicate member, and all objects that contain it."""

    pointer: str


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Duplicate:
    members: dict[str, Any] = {}
    for name, value in pairs:
        pointer = _duplicate(value)
        if pointer or name in members:
            return _Duplicate(f"/{_escaped(name)}{pointer}")
        members[name] = value
    return members


def _duplicate(value: Any) -> str:
    """Return the pointer to a duplicate member, empty if there is none.

    The decoder's hook sees each object. It sees no list, so the object that contains a list goes
    through it, once.
    """
    if isinstance(value, _Duplicate):
        return value.pointer
    if isinstance(value, list):
        for index, member in enumerate(value):
            if pointer := _duplicate(member):
                return f"/{index}{pointer}"
    return ""


def _invalid(message: str) -> ProblemDetailsException:
    """Return 422 with a JSON Pointer to the invalid value."""
    detail = _AT.sub("", message)
    # `check_order` adds the path within its object, before which msgspec's own path belongs.
    path = "".join(reversed(_AT.findall(message)))
    pointer = _INDEX.sub(r"/\1", path).replace(".", "/")
    named = _NAMED.search(detail)
    if named:
        pointer = f"{pointer}/{_escaped(named[1])}"
    return errors.unprocessable((pointer, in_words(detail)))


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
