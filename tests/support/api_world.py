"""A ledger with something of everything that the API shows, of two organizations, and its callers.

Belongs here: what is in it, the keys of each kind of caller, what a parameter may name. Does not:
what the API answers (tests/stack/test_api_schema.py, tests/stack/test_api_matrix.py).
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from carbon_ledger.access_keys import ROLES, NewKey
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.correct import post_correction
from carbon_ledger.store.edge_letters import EdgeRecord, keep_edge_letters
from carbon_ledger.store.keys import revoke_key
from carbon_ledger.store.report_inputs import read_report_inputs
from carbon_ledger.store.report_snapshots import keep_report
from carbon_ledger.store.seals import seal_pending
from pipeline.activity_register import inventory_of, submit_file
from tests.support.api_server import make_key
from tests.support.entry_examples import examples
from tests.support.postgres import LedgerDatabase, reading
from tests.support.reading_ledger import bought, post
from tests.support.sealed_ledger import ORIGIN, new_signer

OWN, OTHER = "default", "acme"
OWN_SUPPLIER, FOREIGN_SUPPLIER, NO_SUPPLIER = "SUP_042_DE", "SUP_043_FR", "SUP_999_XX"
OWN_FACILITY, OTHER_FACILITY = "plant-1", "plant-acme"
MARCH = date(2025, 3, 31)
QUEUE = "dlq.failed_events"
# An activity as the register takes it; of this organization's default, so that nobody has to
# register the entity.
ACTIVITY = {
    "activity_id": "W-1",
    "entity_id": "acme-gmbh",
    "facility_id": "",
    "first_day": "2025-01-01",
    "last_day": "2025-01-31",
    "formula": "S3-5-WASTE-TYPE",
    "kind": "waste",
    "quantity": "12.5",
    "unit": "t",
    "factor.kgco2e": "21.28",
    "factor.per": "t",
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is there, by the name of the parameter that names it; `foreign` of the other one."""

    entry_ids: tuple[str, ...]
    foreign_entry_ids: tuple[str, ...]
    letter_id: str
    snapshot_id: str
    foreign_snapshot_id: str
    submissions: tuple[int, ...]
    foreign_submissions: tuple[int, ...]
    factor_id: str
    release_id: str
    known: dict[str, list[Any]] = field(default_factory=dict)


def fill(database: LedgerDatabase, settings: Settings) -> Told:
    """Entries of every shape, corrected, foreign, sealed and not; a letter; submissions."""
    foreign = [
        bought(400 + number, MARCH, "9", organization_id=OTHER, facility_id=OTHER_FACILITY)
        for number in range(3)
    ]
    rows = [
        *[reading(number) for number in range(300, 320)],
        *[bought(100 + number, MARCH, f"{number}.5") for number in range(10)],
        bought(200, MARCH, "7", supplier=FOREIGN_SUPPLIER),
    ]
    with closing(database.writer(autocommit=True)) as conn:
        post(conn, [*rows, *foreign])
        post(conn, [row for row in examples().values() if not row.is_reversal])
        post_correction(
            conn,
            activity_month=rows[0].activity_month,
            entry_id=rows[0].entry_id,
            replacement=replace(rows[0], quantity=Decimal("9.25"), kgco2e=Decimal("3.1")),
            cause="a test",
        )
    with closing(database.sealer()) as conn:
        seal_pending(conn, new_signer(), ORIGIN)
    with closing(database.writer(autocommit=True)) as conn:
        # Not sealed yet.
        post(conn, [bought(500, MARCH, "1")])
        keep_edge_letters(
            conn,
            [letter()],
            topic_id="T",
            kafka_partition=0,
            start_offset=0,
            next_offset=1,
        )
        submissions = {
            organization: tuple(
                _submitted(conn, settings, organization, f"{organization}-{number}")
                for number in range(2)
            )
            for organization in (OWN, OTHER)
        }
        (factor_id, release_id) = conn.execute(
            "select factor_id, release_id from factors.release_factor order by 1, 2 limit 1"
        ).fetchone() or ("", "")
    reports = {organization: _reported(database, organization) for organization in (OWN, OTHER)}
    told = Told(
        entry_ids=tuple(str(row.entry_id) for row in rows),
        foreign_entry_ids=tuple(str(row.entry_id) for row in foreign),
        letter_id=letter().letter_id,
        snapshot_id=reports[OWN],
        foreign_snapshot_id=reports[OTHER],
        submissions=submissions[OWN],
        foreign_submissions=submissions[OTHER],
        factor_id=factor_id,
        release_id=release_id,
    )
    told.known.update(
        entry_id=[*told.entry_ids[:25:6], told.entry_ids[-1], told.foreign_entry_ids[0]],
        letter_id=[told.letter_id],
        number=[*told.submissions, *told.foreign_submissions],
        factor_id=[factor_id],
        release_id=[release_id],
        snapshot_id=[told.snapshot_id, told.foreign_snapshot_id],
        release=[release_id],
        supplier_id=[OWN_SUPPLIER, FOREIGN_SUPPLIER, NO_SUPPLIER],
        facility_id=[OWN_FACILITY, OTHER_FACILITY],
        start_date=["2024-03-01", "2025-01-01"],
        end_date=["2025-03-31", "2025-12-31"],
        as_of=[datetime.now(UTC).isoformat()],
        after=[0, 7, 20],
    )
    return told


def letter() -> EdgeRecord:
    """A letter of an edge's: a reading whose country nobody knows."""
    return EdgeRecord(
        letter_id="edge:00f1c2a9b34d5e6f",
        source="mqtt:plant-7",
        coordinates="plant/7/meter/1",
        stream="iot_energy",
        reason_code="unknown_country",
        reason="country_iso2 'XX' is no country",
        field="country_iso2",
        offending_value="XX",
        valid_values="ISO 3166-1 alpha-2",
        content_type="application/json",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        record_key=None,
        record_value=b'{"sensor_id": "meter-1", "country_iso2": "XX"}',
        # Values of headers are kept as hexadecimal.
        record_headers=[("source", b"mqtt".hex())],
        topic=QUEUE,
        kafka_partition=0,
        kafka_offset=0,
    )


def _reported(database: LedgerDatabase, organization: str) -> str:
    """The id of a report of 2025 that is kept."""
    with closing(database.reader()) as conn:
        (inputs,) = read_report_inputs(conn, 2025, code_version="test", organization=organization)
    snapshot_id = uuid4()
    with closing(database.writer(autocommit=True)) as conn:
        keep_report(conn, esrs_e1(inputs), snapshot_id=snapshot_id, run_id="run-1")
    return str(snapshot_id)


def _submitted(conn: Any, settings: Settings, organization: str, name: str) -> int:
    found = submit_file(
        conn,
        inventory_of(conn, settings, datetime.now(UTC)),
        name="waste.json",
        content=json.dumps([{**ACTIVITY, "activity_id": name}]).encode(),
        by="Site Engineer",
        organization_id=organization,
        default_organization=settings["CARBON_DEFAULT_ORGANIZATION"],
    )
    return found.submission_id


def keys_of_callers(settings: Settings) -> dict[str, NewKey]:
    """A key of each role, of every scope at once (the operator's best), and of no good."""
    made = {
        role: make_key(
            settings,
            role=role,
            scopes=(),
            supplier_ids=(OWN_SUPPLIER,) if role == "supplier" else (),
            holder=f"Holder of {role}",
        )
        for role in ROLES
    }
    made["everything"] = make_key(settings, holder="Holder of everything")
    expires_at = datetime.now(UTC) + timedelta(seconds=1)
    made["expired"] = make_key(settings, expires_at=expires_at)
    made["revoked"] = make_key(settings)
    with connect(settings["CARBON_DATABASE_WRITER_URL"], "tests", True) as conn:
        revoke_key(conn, made["revoked"].key_id, revoked_by="tests", reason="for a test")
    # Until then it is a good key; one that has expired already cannot be made.
    time.sleep(max(0.0, (expires_at - datetime.now(UTC)).total_seconds()))
    return made


# Those that are let in ask more often than those that are not.
WEIGHTS = {"everything": 8, **dict.fromkeys(ROLES, 2)}


def headers_of(keys: dict[str, NewKey]) -> dict[str, dict[str, str]]:
    """By caller what its requests carry, and of one without a key."""
    return {
        "no key": {},
        **{name: {"Authorization": f"Bearer {key.text}"} for name, key in keys.items()},
    }
