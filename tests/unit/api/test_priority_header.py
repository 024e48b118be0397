"""The header Priority: urgency 7 is background, and nothing is an error."""

import pytest

from orderfleet_api.priority_header import is_background


@pytest.mark.parametrize(
    "header",
    [
        "u=7",
        "u=7, i",
        "i, u=7",
        "i=?0,u=7",
        "\tu=7 ",
        "u=7;reason=slow",
        "u=3, u=7",
        'note="u=1, or so", u=7',
        "nonsense=, u=7",
    ],
)
def test_urgency_7_is_background(header: str) -> None:
    assert is_background(header)


@pytest.mark.parametrize(
    "header",
    [
        *("", "i", "u", "u=", "u=0", "u=3", "u=6", "u=8", "u=77", "u=-7", "u=7.0", "u=?1"),
        *("7", "U=7", "u = 7", "u=seven", 'u="7"', "xu=7", "u=7x", "i;u=7", "u=7 u=3"),
        *("u=7, u=3", "u=7, u=8", 'note="a, u=7"', r'note="\", u=7"', "(u=7)", "é\x00", "," * 9999),
    ],
)
def test_everything_else_is_a_normal_order(header: str) -> None:
    assert not is_background(header)
