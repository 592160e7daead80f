"""What happens to the demo company's books after its first report of 2025, one event of each kind.

Belongs here: the activities and records of each chapter, and posting them by the product's own
code. Does not: what must come of them (scripts.demo_report_truth is told the same), the questions
that are asked after each (tests/stack/test_report_story.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import yaml

from carbon_ledger.factor_book.importing import merged_release
from carbon_ledger.reference.files import parse
from carbon_ledger.restatement import Target
from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.store.factors import latest_release_id, store_release
from carbon_ledger.store.reference import apply_statements
from carbon_ledger.store.restatements import approve
from cli.factor_commands import read_mapping, read_set
from factor_seeds.load import release
from pipeline.sources import company, company_reference
from spark.restate import post, preview
from tests.support.company_books import YEAR, YEARS, CompanyBooks
from tests.support.demo_ledger import SEED, settings_of

LATE_DAY: Final = date(YEAR, 6, 15)
EXAMPLES: Final = PROJECT_ROOT / "docs" / "examples"


@dataclass(kw_only=True)
class Told:
    """Everything that was said so far, for the oracle: activities, records, restated factors."""

    activities: list[company.Activity]
    reference: dict[str, list[dict[str, str]]]
    restated: tuple[dict[str, str], ...] = ()

    @classmethod
    def at_first(cls) -> Told:
        """The company's own history of both years."""
        return cls(
            activities=list(company.history(SEED, YEARS)),
            reference=company_reference.reference_rows(),
        )

    def known(self) -> list[tuple[str, dict[str, Any]]]:
        """The activities as the oracle takes them."""
        return [(one.stream, one.fields) for one in self.activities]


@dataclass(kw_only=True)
class Story:
    """The books, and what was told of them."""

    books: CompanyBooks
    told: Told = field(default_factory=Told.at_first)

    def send(self, *activities: company.Activity) -> None:
        """More events, into the ledger and to the oracle."""
        self.told.activities += activities
        self.books.take(list(activities))

    # ---- the chapters

    def late_events(self) -> None:
        """A meter of Leeds that nobody had told of, of one day of June."""
        self.send(_hall("1850.125"))

    def correction(self) -> None:
        """The same day, read again."""
        self.send(_hall("1840.5", revision=1))

    def superseding_declaration(self) -> None:
        """March's steel, of which the mill had declared three quarters, declared whole."""
        (march,) = (
            one
            for one in self.told.activities
            if one.fields.get("declaration_id") == f"PCF-HRC-{YEAR}03"
        )
        bought = Decimal(march.fields["quantity"]) * 4 / 3
        changes = {"revision": 1, "quantity": f"{bought:f}"}
        self.send(replace(march, fields={**march.fields, **changes}))

    def restatement(self) -> None:
        """The German grid's own figures, agreed to by two people, of both years."""
        mapping = read_mapping(EXAMPLES / "demo_restatement.mapping.yaml")
        factors, problems = read_set(EXAMPLES / "demo_restatement.csv", mapping)
        assert problems == []
        settings = settings_of(self.books.database, self.books.folder)
        with closing(self.books.database.writer(autocommit=True)) as conn:
            store_release(conn, merged_release(release(), mapping, factors))
            found = preview(
                conn,
                settings,
                Target(release_id=latest_release_id(conn)),
                first_date=date(YEARS[0], 1, 1),
                end_date=date(YEAR + 1, 1, 1),
                by="Group Controller",
                reason="figures of the German grid",
            ).restatement
            assert found is not None
            for name in ("Group Controller", "Energy Lead"):
                approve(conn, found.restatement_id, name, "compared with the publication")
            post(conn, settings, found.restatement_id, by="Data Engineer")
        self.told.restated = company_reference.RESTATED
        self.books.settle()

    def acquisition(self) -> None:
        """A works in Lyon, the company's from October on, with ten days of its meter."""
        bought = date(YEAR, 10, 1)
        rows = _lyon(bought)
        text = yaml.safe_dump(rows, sort_keys=False)
        parsed = parse({"acquisition.yaml": text})
        assert parsed.faults == ()
        digest = hashlib.sha256(text.encode()).digest()
        with closing(self.books.database.writer(autocommit=True)) as conn:
            apply_statements(conn, parsed.stated, source="acquisition.yaml", source_sha256=digest)
        for kind, more in rows.items():
            self.told.reference[kind] = [*self.told.reference[kind], *more]
        self.send(*_days_of_lyon(bought))


CHAPTERS: Final[dict[str, Callable[[Story], None]]] = {
    "late events": Story.late_events,
    "a correction": Story.correction,
    "a supplier's figure in place of spend": Story.superseding_declaration,
    "a factor restatement": Story.restatement,
    "an acquisition": Story.acquisition,
}


def _hall(kwh: str, **more: Any) -> company.Activity:
    fields = {
        "sensor_id": "mer-leeds.hall",
        "facility_id": "mer-leeds",
        "country_iso2": "GB",
        "energy_kwh": kwh,
        "energy_source": "grid",
        # British summer time.
        "timestamp": f"{LATE_DAY - timedelta(days=1)}T23:00:00Z",
        "interval_seconds": 86_400,
        **more,
    }
    return company.Activity(schema="iot_energy", fields=fields)


def _lyon(bought: date) -> dict[str, list[dict[str, str]]]:
    begin = {"valid_from": bought.isoformat()}
    return {
        "entity": [
            {
                "entity_id": "meridian-lyon",
                "organization_id": company_reference.ORGANIZATION,
                "kind": "subsidiary",
                "country_iso2": "FR",
                **begin,
            }
        ],
        "ownership": [
            {
                "entity_id": "meridian-lyon",
                "parent_id": company_reference.HOLDING,
                "equity_share": "100 %",
                "financial_control": "yes",
                "operational_control": "yes",
                **begin,
            }
        ],
        "site": [
            {
                "facility_id": "mer-lyon",
                "organization_id": company_reference.ORGANIZATION,
                "entity_id": "meridian-lyon",
                "country_iso2": "FR",
                "time_zone": "Europe/Paris",
                **begin,
            }
        ],
    }


def _days_of_lyon(bought: date) -> Iterator[company.Activity]:
    for number in range(10):
        # Summer time there.
        day = bought + timedelta(days=number - 1)
        fields = {
            "sensor_id": "mer-lyon.main",
            "facility_id": "mer-lyon",
            "country_iso2": "FR",
            "energy_kwh": f"{2400 + 31 * number}.75",
            "energy_source": "grid",
            "timestamp": f"{day}T22:00:00Z",
            "interval_seconds": 86_400,
        }
        yield company.Activity(schema="iot_energy", fields=fields)
