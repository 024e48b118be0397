"""The body of a request: JSON as the route's type has it, with nothing made to fit.

Not by Litestar's own reading, which takes `"1"` for true and `"null"` for nothing, as it must for
what comes in a query.
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
            parse_constant=_no_number,
        )
        if pointer := _twice(document):
            raise errors.unprocessable((pointer, "Duplicate member"))
        # Written anew, as half a surrogate pair is found so; msgspec converts texts as they are.
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
    """Return a number that is whole as an integer: to JSON, 1.0 and 1 are the same."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return int(number) if number.is_integer() else number


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


class _Twice(NamedTuple):
    """Takes the place of an object with a member that comes twice, and of all that holds it."""

    pointer: str


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Twice:
    members: dict[str, Any] = {}
    for name, value in pairs:
        pointer = _twice(value)
        if pointer or name in members:
            return _Twice(f"/{_escaped(name)}{pointer}")
        members[name] = value
    return members


def _twice(value: Any) -> str:
    """Return the pointer to a member that comes twice, empty if there is none.

    An object tells of those within it. A list has no hook, so it is looked through: each value
    once, by the object that holds it.
    """
    if isinstance(value, _Twice):
        return value.pointer
    if isinstance(value, list):
        for index, member in enumerate(value):
            if pointer := _twice(member):
                return f"/{index}{pointer}"
    return ""


def _invalid(message: str) -> ProblemDetailsException:
    """A value is wrong: 422, with a JSON Pointer to it."""
    detail = _AT.sub("", message)
    # A check of our own may say where in its object it found something: the outer path comes last.
    path = "".join(reversed(_AT.findall(message)))
    pointer = _INDEX.sub(r"/\1", path).replace(".", "/")
    named = _NAMED.search(detail)
    if named:
        pointer = f"{pointer}/{_escaped(named[1])}"
    return errors.unprocessable((pointer, in_words(detail)))


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
