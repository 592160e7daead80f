"""Entries of every shape: nulls, negatives, tiny, huge, other alphabets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from carbon_ledger.entries import QUALITY_COLUMNS, EntryRow, reversal_of, sealed
from tests.support.postgres import reading

RECORDED_AT = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
HUGE = Decimal("99999999999999999999999999.999999999999")
TINY = Decimal("0.000000000001")


def of_version_1(row: EntryRow) -> EntryRow:
    """The row as it was written before the ledger kept how good a figure is."""
    return sealed(replace(row, preimage=1, **dict.fromkeys(QUALITY_COLUMNS)))


def examples() -> dict[str, EntryRow]:
    """Name to entry; each differs from the plain one in what its name says."""
    full = reading(
        1,
        region="DE-BY",
        category=None,
        kg_co2_fossil=Decimal("0.5"),
        kg_co2_biogenic=Decimal("0"),
        kg_ch4=TINY,
        kg_n2o=Decimal("0.000000123456"),
        other_gases={"sf6": "0.000000000001", "hfc_134a": "1.5", "über": "0"},
        kgco2e_granular=Decimal("0.615"),
        vintage_gap_years=-3,
        flags="boundary_substitute,vintage_gap",
        method="hybrid",
        rule_id="S3-1-PURCHASED-GOODS",
        supersession_rank=3,
        primary_share=Decimal("0.250"),
        activity_scores="4,3,2,1,4",
        factor_scores="1,2,3,4,1",
        subject_ref="person-7",
        batch_id=42,
        topic="raw.iot.energy",
        topic_incarnation=0,
        kafka_partition=5,
        kafka_offset=2**53 + 1,
    )
    huge = reading(
        2,
        quantity=Decimal("123456789012345678.123456789012345678901234"),
        kgco2e=HUGE,
        kg_co2_fossil=HUGE,
        occurred_from=datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC),
        occurred_to=datetime(2024, 3, 1, 0, 0, 0, 1, tzinfo=UTC),
    )
    return {
        "plain": reading(0),
        "full": full,
        "huge": huge,
        "tiny": reading(3, quantity=Decimal("1E-24"), kgco2e=TINY),
        "zero": reading(4, quantity=Decimal("0.000"), kgco2e=Decimal("0")),
        "trailing_zeros": reading(5, quantity=Decimal("1200.5000")),
        "unscored": reading(
            10,
            **{"primary_share": Decimal("0.0"), "activity_scores": None, "factor_scores": None},
        ),
        "scope_3": reading(6, scope=3, category=4, basis="WTW", activity_type="freight:road"),
        "other_alphabets": reading(7, source_ref="미터-1", unit="kWh", cause="中文, naïve, 🌍"),
        "before_2001": reading(8, occurred_from=datetime(2000, 1, 2, tzinfo=UTC)),
        "reversal": reversal_of(full, recorded_at=RECORDED_AT, cause="wrong meter; J. at plant 1"),
        "reversal_of_huge": reversal_of(huge, recorded_at=RECORDED_AT, cause="double count"),
        "reversal_of_zero": reversal_of(
            reading(4, quantity=Decimal("0.000"), kgco2e=Decimal("0")),
            recorded_at=RECORDED_AT,
            cause="never happened",
        ),
        "another_id": reading(9, entry_id=UUID("018e0000-0000-8000-8000-00000000000a")),
    }
