"""Lines of COPY become the JSON that PostgreSQL's row_to_json makes of the same row."""

from __future__ import annotations

import json

import pytest

from carbon_ledger.store.entry_pages import MOMENTS, NAMES
from carbon_ledger.store.json_lines import DOCUMENTS, NUMBERS, TRUTHS, JsonLines

# Of a text: as COPY writes it, as JSON has it.
SPELLINGS = {
    "plain": ("plain", "plain"),
    'with "quotes"': ('with "quotes"', 'with \\"quotes\\"'),
    "back\\slash": ("back\\\\slash", "back\\\\slash"),
    "tab\tline\nreturn\r": ("tab\\tline\\nreturn\\r", "tab\\tline\\nreturn\\r"),
    "bell\x07": ("bell\x07", "bell\\u0007"),
    "vertical\x0b": ("vertical\\v", "vertical\\u000b"),
    "\\N": ("\\\\N", "\\\\N"),
    "é 😀 %b": ("é 😀 %b", "é 😀 %b"),
    "": ("", ""),
}


def line(**changes: str) -> bytes:
    """A line of COPY, in which every field that is not given is unknown."""
    return "\t".join(changes.get(name, "\\N") for name in NAMES).encode() + b"\n"


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_text_is_what_it_was(text: str) -> None:
    copied, expected = SPELLINGS[text]
    told = JsonLines().of([line(activity_type=copied, is_active="t")])
    assert f'"activity_type":"{expected}",'.encode() in told
    assert json.loads(told)["activity_type"] == text


def test_every_field_is_in_its_place_and_of_its_kind() -> None:
    given = {
        **{name: f"{place}" for place, name in enumerate(NAMES)},
        **dict.fromkeys(MOMENTS, "2025-01-31 12:00:00"),
        "recorded_at": "2025-01-31 12:00:00.0005",
        "other_gases": '{"HFC-32": "1.5"}',
        "is_active": "f",
    }
    (told,) = JsonLines().of([line(**given)]).splitlines()
    found = json.loads(told)
    assert list(found) == list(NAMES)
    assert found["occurred_from"] == "2025-01-31T12:00:00.000000Z"
    assert found["recorded_at"] == "2025-01-31T12:00:00.000500Z"
    assert (found["other_gases"], found["is_active"]) == ({"HFC-32": "1.5"}, False)
    for name in set(NAMES) - set(MOMENTS) - DOCUMENTS - TRUTHS:
        place = NAMES.index(name)
        assert found[name] == (place if name in NUMBERS else f"{place}")


def test_what_is_unknown_is_null_whatever_else_is_in_the_line() -> None:
    rows = [line(stream="a", is_active="t"), line(stream='"', is_active="t"), line(is_active="t")]
    for told, stream in zip(JsonLines().of(rows).splitlines(), ("a", '"', None), strict=True):
        found = json.loads(told)
        assert found.pop("stream") == stream
        assert found.pop("is_active") is True
        assert set(found.values()) == {None}


def test_one_line_with_a_control_character_spoils_no_other() -> None:
    rows = [line(stream="a", is_active="t"), line(stream="\x01", is_active="t")]
    told = JsonLines().of(rows)
    assert [json.loads(one)["stream"] for one in told.splitlines()] == ["a", "\x01"]


def rows_of_every_kind() -> list[bytes]:
    """Lines with fields in common, unknown ones, moments of both kinds, and texts to escape."""
    found = []
    for number in range(200):
        fields = {
            **{name: f"{name}-{number % 7}" for name in NAMES},
            **dict.fromkeys(MOMENTS, f"2025-01-31 12:00:{number % 60:02d}"),
            **dict.fromkeys(NUMBERS, f"{number}"),
            "organization_id": "default",
            "stream": "iot_energy",
            "recorded_at": "2025-02-01 00:00:00.25" if number % 3 else "2025-02-01 00:00:01",
            "occurred_to": "2025-01-31 13:00:00" if number % 5 else "\\N",
            "line_no": "1",
            "other_gases": '{"SF6": "1.5"}' if number % 4 == 0 else "\\N",
            "is_active": "t" if number % 2 else "f",
            "cause": [*SPELLINGS.values()][number % len(SPELLINGS)][0] if number > 120 else "\\N",
            "region": "DE-BY" if number == 30 else "\\N",
        }
        del fields["reversed_by"], fields["primary_share"]
        if number % 6 == 0:
            del fields["category"], fields["method"]
        found.append(line(**fields))
    return found


@pytest.mark.parametrize("size", [1, 2, 50, 200])
def test_lines_together_are_what_each_is_alone(size: int) -> None:
    rows = rows_of_every_kind()
    lines = JsonLines()
    alone = [lines._exact(row) for row in rows]
    assert [json.loads(one)["organization_id"] for one in alone] == ["default"] * len(rows)
    told = b"".join(lines.of(rows[begin : begin + size]) for begin in range(0, len(rows), size))
    assert told == b"".join(alone)
