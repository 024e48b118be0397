"""Which changes of the chart's schema break a user's values."""

from pathlib import Path
from typing import Any

import pytest

from release.contract import OPENAPI, VALUES, of_values

ROOT = Path(__file__).parents[3]


def _values(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (_values(a={}), _values(), ["a: does not exist any more"]),
        (_values(), _values(a={}), []),
        (_values(a=_values(b={})), _values(a=_values()), ["a.b: does not exist any more"]),
        ({"type": "string"}, {"type": ["string", "integer"]}, []),
        (
            _values(a={"type": ["string", "integer"]}),
            _values(a={"type": "string"}),
            ["a: no longer integer"],
        ),
        (_values(a={}), _values(a={"type": "string"}), ["a: no longer of any type"]),
        (
            _values(a={"enum": ["x", "y"]}),
            _values(a={"enum": ["x", "z"]}),
            ["a: no longer ['y'], but one of ['x', 'z']"],
        ),
        (_values(a={"enum": ["x"]}), _values(a={}), []),
        (_values(a={"minimum": 1}), _values(a={"minimum": 0}), []),
        (_values(a={"minimum": 1}), _values(a={"minimum": 2}), ["a: minimum is 2, was 1"]),
        (_values(a={}), _values(a={"maximum": 9}), ["a: maximum is 9, was None"]),
        (_values(a={"pattern": "x"}), _values(a={"pattern": "y"}), ["a: pattern is y, was x"]),
        (_values(a={}), _values(a={}) | {"required": ["a"]}, ["a: is required"]),
        (
            _values(a={"items": {"type": "string"}}),
            _values(a={"items": {"type": "integer"}}),
            ["a[]: no longer string"],
        ),
    ],
)
def test_what_breaks_values(old: dict[str, Any], new: dict[str, Any], expected: list[str]) -> None:
    assert list(of_values(old, new)) == expected


def test_what_is_compared_exists() -> None:
    assert (ROOT / OPENAPI).is_file()
    assert (ROOT / VALUES).is_file()
