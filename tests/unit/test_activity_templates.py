"""The templates: every category and kind of scope 1 source has a way to the calculators."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.activities.category_formulas import RECIPES, Kind, Recipe
from carbon_ledger.activities.registered_activity import (
    FIELDS_LENGTH_MAX,
    RegisteredActivityEvent,
    canonical_fields,
    lines_of_registered_activity,
)
from carbon_ledger.activities.templates import (
    REQUIRED_FIELDS,
    ROW_FIELDS,
    TEMPLATES,
    Template,
    activity_fields,
    check_columns,
    day_of,
)
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.lines import EmissionLine
from tests.support.event_cases import INVENTORY

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
VALUES = {"count": "3", "share": "0.5"}
# What an amount is in where the formula leaves its unit to the factor.
FREE_UNITS = {"fuel_per_distance": "L", "energy_per_use": "kWh"}


def filled(recipe: Recipe | None, kind: Kind | None, template: Template) -> dict[str, str]:
    """A row with every number its kind of term asks for."""
    cells = {} if recipe is None else {"formula": recipe.formula.formula_id}
    if kind is None:
        cells |= {"quantity": "10", "unit": "kg"}
    else:
        cells["kind"] = kind.name
        if kind.quantity != "none":
            units = {"any": "kg", "money": "EUR", "emissions": "kgCO2e"}
            cells |= {"quantity": "10", "unit": units[kind.quantity]}
        for part in kind.parts:
            if part.form == "amount":
                unit = part.measures or FREE_UNITS[part.name]
                cells |= {f"{part.name}.value": "2", f"{part.name}.unit": unit}
            else:
                cells[part.name] = VALUES[part.form]
    if template.needs_gas or (kind is not None and kind.factor == "gas"):
        cells["gas"] = "HFC-134a"
    elif kind is None or kind.factor == "required":
        cells |= {"factor.kgco2e": "2.5", "factor.per": per(kind, cells)}
    return cells


PER = {
    "transport": "tkm",
    "containers": "TEU_km",
    "vehicle": "vkm",
    "backhaul": "L",
    "storage": "m3_day",
    "treatment": "t",
    "trip": "pkm",
    "commute": "pkm",
    "use": "kWh",
    "indirect": "kWh",
    "lifetime_distance": "km",
}


def per(kind: Kind | None, cells: dict[str, str]) -> str:
    return cells["unit"] if "unit" in cells else PER[kind.name if kind else ""]


def event(kind: Template, cells: dict[str, str], **changes: Any) -> RegisteredActivityEvent:
    fields = activity_fields(kind, cells)
    quantity, unit = fields.pop("quantity", None), fields.pop("unit", None)
    values = {
        "activity_id": "x-1",
        "template": kind.name,
        "entity_id": "acme",
        "quantity": quantity,
        "unit": unit,
        "fields": canonical_fields(fields),
        "timestamp": BEGIN,
        "interval_seconds": 86_400 * 31,
        "submission_id": "A-1",
        "approval_id": "A-1",
        "file_sha256": "0" * 64,
        "file_line": 2,
        **changes,
    }
    return RegisteredActivityEvent(**values)


def lines(template: Template, cells: dict[str, str]) -> tuple[EmissionLine, ...]:
    one = event(template, cells)
    one.check(INVENTORY.now)
    # What Kafka brings back is what was sent.
    again = RegisteredActivityEvent.from_avro_fields(
        {**one.to_avro_fields(), "timestamp": BEGIN}, INVENTORY.now
    )
    assert again == one
    return lines_of_registered_activity(again, INVENTORY)


WAYS = [
    pytest.param(
        template, recipe, kind, id=f"{template.name}-{recipe.formula.formula_id}-{kind.name}"
    )
    for template in TEMPLATES.values()
    for recipe in template.recipes
    for kind in recipe.kinds
]


@pytest.mark.parametrize(("template", "recipe", "kind"), WAYS)
def test_every_kind_of_every_formula_is_submitted_with_columns_of_its_template(
    template: Template, recipe: Recipe, kind: Kind
) -> None:
    cells = filled(recipe, kind, template)
    check_columns(template, (*REQUIRED_FIELDS, *cells))
    (line,) = lines(template, cells)
    assert line.kgco2e > 0
    assert line.activity_type == template.name
    assert (line.assignment.scope, line.assignment.category) == (
        (0, None) if recipe.is_memo else (3, template.category)
    )


@pytest.mark.parametrize(
    "template",
    [one for one in TEMPLATES.values() if one.category is None],
    ids=lambda one: one.name,
)
def test_what_has_no_category_is_scope_1(template: Template) -> None:
    (line,) = lines(template, filled(None, None, template))
    assert (line.assignment.scope, line.assignment.category) == (1, None)
    assert line.kgco2e > 0


def test_every_category_and_every_formula_has_a_template() -> None:
    assert {one.category for one in TEMPLATES.values()} == {None, *range(1, 16)}
    reached = {recipe.formula.formula_id for one in TEMPLATES.values() for recipe in one.recipes}
    assert reached == set(RECIPES)


def test_parts_of_one_name_are_of_one_form_within_a_template() -> None:
    for template in TEMPLATES.values():
        forms: dict[str, str] = {}
        for kind in template.kinds:
            for part in kind.parts:
                assert forms.setdefault(part.name, part.form) == part.form, (template.name, part)


def test_a_template_has_each_column_once_and_the_rows_own_first() -> None:
    for template in TEMPLATES.values():
        assert len(set(template.columns)) == len(template.columns)
        assert template.columns[: len(ROW_FIELDS)] == ROW_FIELDS


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({}, "missing_field"),
        ({"formula": "S3-7-COMMUTING"}, "formula_not_for_category"),
        ({"formula": "S3-5-BY-TREATMENT", "mass": "1", "mass.unit": "t"}, "column_contradiction"),
    ],
)
def test_a_row_that_contradicts_its_template_is_refused(cells: dict[str, str], code: str) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        activity_fields(TEMPLATES["waste"], cells)
    assert refusal.value.code == code


def test_a_gas_is_asked_for_where_the_quantity_is_of_one() -> None:
    with pytest.raises(RejectedRecord, match="gas"):
        activity_fields(TEMPLATES["refrigerants"], {"quantity": "1", "unit": "kg"})


def test_columns_a_template_has_not_are_refused_with_those_it_has() -> None:
    with pytest.raises(RejectedRecord) as refusal:
        check_columns(TEMPLATES["waste"], (*REQUIRED_FIELDS, "mas.value"))
    assert refusal.value.code == "unknown_column"
    assert "mass.value" in str(refusal.value.valid)
    with pytest.raises(RejectedRecord) as refusal:
        check_columns(TEMPLATES["waste"], ("activity_id",))
    assert refusal.value.code == "missing_column"


@pytest.mark.parametrize(
    "value", ["", "2025-02-30", "1/2/2025", "2025-01-01T12:00:00", "0001-01-01", "9999-12-31"]
)
def test_a_day_is_an_iso_day(value: str) -> None:
    with pytest.raises(RejectedRecord, match="first_day"):
        day_of({"first_day": value}, "first_day")
    with pytest.raises(RejectedRecord) as refusal:
        day_of({"first_day": value}, "first_day")
    assert refusal.value.code == ("invalid_day" if value else "missing_field")
    assert day_of({"first_day": "2025-01-01T00:00:00"}, "first_day") == BEGIN.date()


def test_selectors_of_a_factor_are_columns_of_their_own() -> None:
    template = TEMPLATES["stationary_fuels"]
    assert "factor.selectors.item" in template.columns
    assert "factor.selectors" not in template.columns
    cells = {
        "quantity": "10",
        "unit": "L",
        "factor.family": "fuel",
        "factor.selectors.fuel": "Diesel",
        "factor.selectors.stage": "combustion",
    }
    assert activity_fields(template, cells)["factor"] == {
        "family": "fuel",
        "selectors": {"fuel": "Diesel", "stage": "combustion"},
    }


def test_fields_are_as_long_as_they_may_be_and_no_longer() -> None:
    template = TEMPLATES["stationary_fuels"]
    for length, code in ((FIELDS_LENGTH_MAX, None), (FIELDS_LENGTH_MAX + 1, "invalid_fields")):
        begin, end = '{"factor":{"kgco2e":"1","per":"kg"},"label":"', '"}'
        text = begin + "x" * (length - len(begin) - len(end)) + end
        one = event(template, filled(None, None, template), fields=text)
        assert (one.problem.code if one.problem else None) == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"template": "weather"}, "unknown_template"),
        ({"unit": None}, "quantity_without_unit"),
        ({"fields": "[1]"}, "invalid_fields"),
        ({"fields": '{"a":' * 9_000 + "1" + "}" * 9_000}, "invalid_fields"),
        ({"fields": '{"date":"2024-01-01"}'}, "said_twice"),
        ({"file_sha256": "ABC"}, "invalid_digest"),
        ({"interval_seconds": 367 * 86_400}, "interval_out_of_range"),
        ({"quantity": "-1"}, "negative_quantity"),
    ],
)
def test_an_event_the_ledger_would_refuse_says_why(changes: dict[str, Any], code: str) -> None:
    template = TEMPLATES["stationary_fuels"]
    one = event(template, filled(None, None, template), **changes)
    assert one.problem is not None
    assert one.problem.code == code


def test_what_is_registered_without_a_scope_is_refused() -> None:
    template = TEMPLATES["stationary_fuels"]
    one = event(
        template, filled(None, None, template), fields='{"factor":{"kgco2e":"1","per":"kg"}}'
    )
    with pytest.raises(RejectedRecord) as refusal:
        lines_of_registered_activity(one, INVENTORY)
    assert refusal.value.code == "scope_unassigned"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_the_canonical_text_of_fields_is_a_fixed_point(fields: dict[str, Any]) -> None:
    once = canonical_fields(fields)
    assert canonical_fields(json.loads(once)) == once
