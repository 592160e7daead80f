"""The demo company's books of both years, closed up to what a report is made of, as a database.

Belongs here: its events, supersession and period postings by the product's own code, once for each
server, and copies of that. Does not: the events (pipeline.sources.company), how they are committed
(tests.support.demo_ledger), what must come of them (scripts.demo_truth).

Without Kafka and a JVM: the sink commits the records as it does those of a Spark task. The whole
way is what tests/stack/test_company_ledger.py goes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carbon_ledger.policy import Policy
from carbon_ledger.store.period_postings import post_year
from carbon_ledger.version import code_version
from factor_seeds.load import release
from pipeline.sources import company, company_reference
from spark.supersede import supersede
from tests.support.demo_ledger import SEED, post_activities, settings_of
from tests.support.postgres import (
    Connection,
    LedgerDatabase,
    factors_template,
    grant_connect,
    migrated_template,
    scratch_database,
    template_database,
)

YEARS = company_reference.YEARS
YEAR = 2025


@dataclass(frozen=True, kw_only=True)
class CompanyBooks:
    """A ledger of the company, and the folder that its archive is in."""

    database: LedgerDatabase
    folder: Path

    def take(self, activities: list[company.Activity]) -> None:
        """Commits more events, and brings to what stands whatever rests on them."""
        post_activities(self.database, self.folder, activities)
        self.settle()

    def settle(self) -> None:
        """Supersession, then the postings of each year."""
        with closing(self.database.writer(autocommit=True)) as conn:
            supersede(conn, settings_of(self.database, self.folder))
            for year in YEARS:
                outcome = post_year(conn, year, Policy(), code_version=code_version())
                assert outcome.faults == []

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the ledger says, to whoever may read every organization."""
        with closing(self.database.reader()) as conn:
            return conn.execute(statement.encode(), parameters).fetchall()


@contextmanager
def company_books(stack: Any) -> Iterator[CompanyBooks]:
    """A copy of the company's books, of this block alone."""
    url_of: Callable[[str, str], str] = stack.layout.database_url
    folder = stack.layout.home / "company_books"

    def template_of(server: Connection) -> str:
        return _template(server, url_of, folder)

    with scratch_database(url_of, template_of=template_of) as database:
        yield CompanyBooks(database=database, folder=folder)


def _template(server: Connection, url_of: Callable[[str, str], str], folder: Path) -> str:
    """The books' database, made where the server has none of this code and these factors."""
    told = (migrated_template(server, url_of), release().release_id, code_version(), _reference())
    name = f"template_company_{hashlib.sha256('|'.join(told).encode()).hexdigest()[:12]}"

    def fill(name: str) -> None:
        grant_connect(server, name)
        books = CompanyBooks(database=LedgerDatabase.named(url_of, name), folder=folder)
        with closing(books.database.writer(autocommit=True)) as conn:
            company_reference.apply_reference(conn)
        books.take(list(company.history(SEED, YEARS)))

    return template_database(server, name, factors_template(server, url_of), fill)


def _reference() -> str:
    events = "".join(repr(one) for one in company.history(SEED, YEARS))
    return company_reference.reference_yaml() + hashlib.sha256(events.encode()).hexdigest()
