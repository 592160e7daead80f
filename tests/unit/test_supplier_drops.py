"""Dropped files: which are whole, what their rows say, what the receipt says of them."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.activities.templates import TEMPLATES
from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.settings import Settings
from carbon_ledger.store.activities import Submission
from carbon_ledger.store.drops import Sighting
from devstack import sftp
from devstack.plan import make_plan
from pipeline.drops import receipts
from pipeline.drops.arrivals import (
    Arrivals,
    Listed,
    final_name,
    is_temporary,
    judge,
    looks_cut,
    safe_name,
)
from pipeline.drops.declarations import FIELDS, REQUIRED, check_columns, event_of_row, judged_rows
from pipeline.drops.receipts import FileFacts, Rejection
from pipeline.drops.server import DropServer, ServerPlace
from pipeline.drops.work import REGISTER_COLUMN
from pipeline.files.safe_tables import FileRefused, TableRow, read_table
from scripts import build_drop_templates as templates

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
QUIET = timedelta(seconds=30)
CUT_WAIT = timedelta(hours=1)
SUPPLIER = "SUP_042_DE"
FACTS = FileFacts(
    supplier_id=SUPPLIER, name="a.csv", size_bytes=10, sha256=bytes(32), claimed_at=NOW
)


def listed(name: str, size: int = 10, mtime: int = 100) -> Listed:
    return Listed(supplier_id=SUPPLIER, raw_name=name.encode(), size_bytes=size, mtime=mtime)


class Looks:
    """Several looks, one after another, at what a test says is there."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Sighting] = {}

    def look(self, seconds: float, *found: Listed) -> Arrivals:
        arrivals = judge(
            found, self.known, now=NOW + timedelta(seconds=seconds), quiet=QUIET, cut_wait=CUT_WAIT
        )
        for one in arrivals.changed:
            self.known[one.supplier_id, one.name] = one
        for one in arrivals.gone:
            del self.known[one.supplier_id, one.name]
        return arrivals

    def whole(self, seconds: float, *found: Listed) -> list[str]:
        return [one.name for one, _ in self.look(seconds, *found).whole]


# ---- which files are whole


def test_a_file_is_whole_once_it_has_not_changed_for_the_quiet_time() -> None:
    looks = Looks()
    assert looks.whole(0, listed("a.csv")) == []
    assert looks.whole(29, listed("a.csv")) == []
    assert looks.whole(30, listed("a.csv")) == ["a.csv"]


@pytest.mark.parametrize("change", [{"size": 11}, {"mtime": 101}])
def test_a_file_that_changes_is_waited_for_anew(change: dict[str, int]) -> None:
    looks = Looks()
    looks.look(0, listed("a.csv"))
    assert looks.whole(30, listed("a.csv", **change)) == []
    assert looks.whole(59, listed("a.csv", **change)) == []
    assert looks.whole(60, listed("a.csv", **change)) == ["a.csv"]


def test_a_renamed_file_is_whole_at_once_and_a_temporary_one_never() -> None:
    looks = Looks()
    for seconds in (0, 60, 600):
        assert looks.whole(seconds, listed("a.csv.part")) == []
    assert looks.whole(601, listed("a.csv")) == ["a.csv"]


def test_a_name_like_a_temporary_one_of_another_size_is_no_rename() -> None:
    looks = Looks()
    looks.look(0, listed("a.csv.part", size=5))
    assert looks.whole(1, listed("a.csv", size=10)) == []


def test_while_the_temporary_file_is_still_there_nothing_was_renamed() -> None:
    looks = Looks()
    looks.look(0, listed("a.csv.part"))
    assert looks.whole(1, listed("a.csv.part"), listed("a.csv")) == []


def test_a_version_with_a_receipt_is_not_read_again_and_a_later_one_is() -> None:
    looks = Looks()
    looks.look(0, listed("a.csv"))
    seen = looks.known[SUPPLIER, "a.csv"]
    looks.known[SUPPLIER, "a.csv"] = replace(seen, handled_size=10, handled_mtime=100)
    assert looks.whole(60, listed("a.csv")) == []
    looks.look(61, listed("a.csv", size=12))
    assert looks.whole(91, listed("a.csv", size=12)) == ["a.csv"]


def test_a_name_that_was_away_is_another_file_even_with_the_same_size_and_time() -> None:
    looks = Looks()
    looks.look(0, listed("a.csv"))
    seen = looks.known[SUPPLIER, "a.csv"]
    looks.known[SUPPLIER, "a.csv"] = replace(seen, handled_size=10, handled_mtime=100)
    looks.look(60)
    looks.look(70, listed("a.csv"))
    assert looks.whole(100, listed("a.csv")) == ["a.csv"]


def test_a_file_that_looks_cut_is_left_alone_until_it_changes_or_the_wait_is_over() -> None:
    looks = Looks()
    looks.look(0, listed("a.csv"))
    seen = looks.known[SUPPLIER, "a.csv"]
    looks.known[SUPPLIER, "a.csv"] = replace(seen, looks_cut=True)
    assert looks.whole(3599, listed("a.csv")) == []
    assert looks.whole(3600, listed("a.csv")) == ["a.csv"]
    looks.look(3601, listed("a.csv", size=12))
    assert looks.whole(3631, listed("a.csv", size=12)) == ["a.csv"]


@pytest.mark.parametrize(
    ("name", "final"),
    [
        (".a.csv", "a.csv"),
        ("a.csv.filepart", "a.csv"),
        ("a.csv~", "a.csv"),
        (".a.csv.TMP", "a.csv"),
    ],
)
def test_temporary_names(name: str, final: str) -> None:
    assert is_temporary(name)
    assert final_name(name) == final
    assert not is_temporary(final)


@pytest.mark.parametrize(
    ("name", "content", "is_cut"),
    [
        ("a.csv", b"a,b\n1,2\n", False),
        ("a.csv", b"a,b\n1,2", True),
        ("a.json", b'[{"a":1}]\n', False),
        ("a.json", b'[{"a":1},', True),
        ("a.xlsx", b"PK\x03\x04" + bytes(100), True),
        ("a.xlsx", b"PK\x03\x04" + bytes(100) + b"PK\x05\x06" + bytes(18), False),
        ("a.xlsx", b"no workbook", False),
        ("a.csv", b"", False),
        ("a.exe", b"MZ", False),
    ],
)
def test_what_ends_in_the_middle(tmp_path: Path, name: str, content: bytes, is_cut: bool) -> None:
    path = tmp_path / "content"
    path.write_bytes(content)
    assert looks_cut(path, name) is is_cut


# ---- names


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
def test_safe_names_are_safe_and_two_names_stay_two(one: str, other: str) -> None:
    try:
        names = [one.encode(), other.encode()]
    except UnicodeEncodeError:
        return
    found = [safe_name(name.decode()) for name in names]
    for name in found:
        assert "/" not in name
        assert name not in ("", ".", "..")
        assert not name.startswith(".")
        assert name.isascii()
        assert name.isprintable()
        assert len(name) <= 140
    assert (found[0] == found[1]) == (one == other)


def test_a_name_with_bytes_that_are_no_text_is_shown_escaped() -> None:
    one = Listed(supplier_id=SUPPLIER, raw_name=b"a\xff\n\x1b[2J.csv", size_bytes=1, mtime=1)
    assert one.name == "a\\xff\\n\\x1b[2J.csv"


# ---- rows


def row(**changes: str) -> TableRow:
    cells = {**templates.KINDS["product_footprint"], **changes}
    return TableRow(line=2, cells={name: text for name, text in cells.items() if text})


def test_a_row_becomes_the_event_it_describes() -> None:
    event = event_of_row(row(is_capital="TRUE", preceding_ids='["a","b"]'), SUPPLIER, NOW)
    assert event.event_id == f"supplier:{SUPPLIER}@PCF-2025-01-COIL#0"
    assert event.purchase_order_lines == ("4500012345/10", "4500012345/20")
    assert event.preceding_ids == ("a", "b")
    assert event.is_capital is True


def test_a_day_is_its_first_moment_as_spreadsheets_write_it() -> None:
    for text in ("2025-01-01", "2025-01-01T00:00:00", "2025-01-01T00:00:00Z"):
        assert event_of_row(row(timestamp=text), SUPPLIER, NOW).timestamp == datetime(
            2025, 1, 1, tzinfo=UTC
        )


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"quantity": "1,5"}, "not_a_number", "quantity"),
        ({"supplier_id": "SUP_001"}, "other_supplier", "supplier_id"),
        ({"kind": "guess"}, "unknown_declaration_kind", "kind"),
        ({"is_capital": "maybe"}, "not_a_boolean", "is_capital"),
        ({"purchase_order_lines": "[1,"}, "not_a_list", "purchase_order_lines"),
        ({"declaration_id": ""}, "missing_field", "declaration_id"),
        ({"timestamp": "2031-01-01"}, "timestamp_out_of_range", "timestamp"),
    ],
)
def test_a_row_that_is_no_declaration_says_why(
    changes: dict[str, str], code: str, field: str
) -> None:
    with pytest.raises(RejectedRecord) as caught:
        event_of_row(row(**changes), SUPPLIER, NOW)
    assert (caught.value.code, caught.value.field) == (code, field)


def test_the_same_declaration_twice_in_a_file_is_refused_at_the_second() -> None:
    lines = templates.as_csv("allocated_total").splitlines(keepends=True)
    content = b"".join([lines[0], lines[1], lines[1].replace(b"15200", b"15201")])
    with read_table(content, name="a.csv") as table:
        found = list(judged_rows(table, SUPPLIER, NOW))
    assert found[0].event is not None
    assert found[1].problem is not None
    assert found[1].problem.code == "declared_twice"


def test_columns_that_are_none_and_required_ones_that_are_missing_are_named() -> None:
    with pytest.raises(FileRefused, match="no column 'Menge'"):
        check_columns((*REQUIRED, "Menge"))
    with pytest.raises(FileRefused, match="'gwp_set' is missing"):
        check_columns(tuple(name for name in REQUIRED if name != "gwp_set"))
    check_columns(tuple(FIELDS))


# ---- templates


@pytest.mark.parametrize("kind", templates.KINDS)
@pytest.mark.parametrize("ending", ["csv", "json", "xlsx"])
def test_templates_are_the_schema_s_and_their_example_is_a_declaration(
    kind: str, ending: str
) -> None:
    content = (templates.FOLDER / f"{kind}.{ending}").read_bytes()
    if ending == "xlsx":
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
        found = {
            sheet.title: [[value or "" for value in one] for one in sheet.values] for sheet in book
        }
        assert found == {
            title: [list(one) for one in rows] for title, rows in templates.sheets(kind).items()
        }
    else:
        assert content == {"csv": templates.as_csv, "json": templates.as_json}[ending](kind)
    with read_table(content, name=f"a.{ending}") as table:
        check_columns(table.columns)
        events = [one.event for one in judged_rows(table, SUPPLIER, NOW)]
    assert [one.kind for one in events if one is not None] == [kind]


# ---- receipts


def test_a_receipt_says_line_column_value_reason_and_what_is_valid() -> None:
    problem = RejectedRecord("code", "why", field="quantity", value="=1+1", valid="a number")
    text = receipts.read_receipt(
        FACTS, accepted=3, rejected=1, rejections=[Rejection.of(problem, 7)]
    )
    said = json.loads(text)
    assert (said["rows"], said["accepted"], said["rejected"]) == (4, 3, 1)
    assert said["rejections"] == [
        {
            "line": 7,
            "column": "quantity",
            "value": "=1+1",
            "code": "code",
            "reason": "why",
            "valid": "a number",
        }
    ]
    people = receipts.as_text(text)
    assert "3 of 4 rows accepted, 1 rejected" in people
    assert 'line 7, column "quantity"' in people
    assert 'value   "=1+1"' in people


@given(st.text(max_size=50), st.text(max_size=50))
def test_nothing_a_receipt_quotes_can_act_where_it_is_opened(value: str, name: str) -> None:
    problem = RejectedRecord("code", value, field=value, value=value, valid=value)
    facts = replace(FACTS, name=name)
    text = receipts.refused_receipt(facts, Rejection.of(problem, 1))
    for told in (text, receipts.as_text(text)):
        assert told.isascii()
        assert all(one.isprintable() or one == "\n" for one in told)
        assert not any(line.startswith(("=", "+", "-", "@", "\t")) for line in told.splitlines())
    assert json.loads(text)["file"] == name


@pytest.mark.parametrize(
    ("decided", "status", "is_told"), [(None, "pending", True), (False, "rejected", False)]
)
def test_the_receipt_of_an_activity_file_says_what_it_awaits(
    decided: bool | None, status: str, is_told: bool
) -> None:
    submission = Submission(
        submission_id=7,
        organization_id=None,
        template="waste",
        file_name="waste.csv",
        file_sha256=bytes(32),
        rows_accepted=2,
        rows_refused=1,
        submitted_by=SUPPLIER,
        submitted_at=NOW,
        is_approved=decided,
        decided_by=None,
        reason=None,
        decided_at=None,
        delivered_at=None,
        kgco2e=Decimal(3),
    )
    problem = Rejection(line=4, column="unit", value="x", code="c", reason="r", valid=None)
    text = receipts.submitted_receipt(FACTS, submission=submission, rejections=[problem])
    said = json.loads(text)
    assert (said["submission"], said["template"], said["status"]) == ("A-7", "waste", status)
    assert (said["rows"], said["accepted"], said["rejected"]) == (3, 2, 1)
    assert said["rejections"] == [problem.said()]
    shown = receipts.as_text(text)
    assert "A-7, waste" in shown
    assert ("another person has approved" in shown) == is_told


def test_one_column_tells_activity_files_from_declarations() -> None:
    assert REGISTER_COLUMN not in FIELDS
    assert {REGISTER_COLUMN} & set(REQUIRED) == set()
    assert all(REGISTER_COLUMN in one.columns for one in TEMPLATES.values())


def test_more_than_a_thousand_rejections_are_counted_not_listed() -> None:
    one = Rejection(line=1, column=None, value=None, code="c", reason="r", valid=None)
    text = receipts.read_receipt(FACTS, accepted=0, rejected=1500, rejections=[one] * 1500)
    said = json.loads(text)
    assert (len(said["rejections"]), said["rejections_not_listed"]) == (1000, 500)
    assert "and 500 more" in receipts.as_text(text)


# ---- accounts and settings


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "poller", "-x", "a b", "ü", "a" * 65]
)
def test_an_account_is_a_login_and_a_folder_and_nothing_more(name: str) -> None:
    with pytest.raises(RejectedRecord, match="cannot be the name of an account"):
        sftp.check_account(name)


def test_keys_are_made_once_and_a_private_one_is_no_public_one(tmp_path: Path) -> None:
    sftp.prepare(tmp_path, 2222)
    first = (tmp_path / "host_key").read_bytes()
    sftp.prepare(tmp_path, 2223)
    assert (tmp_path / "host_key").read_bytes() == first
    assert (tmp_path / "host_key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "known_hosts").read_text().startswith("[127.0.0.1]:2223 ssh-ed25519 ")
    with pytest.raises(ConfigurationError, match=r"\.pub"):
        sftp.add_account(tmp_path, SUPPLIER, first)
    with pytest.raises(ConfigurationError, match="no public key"):
        sftp.add_account(tmp_path, SUPPLIER, b"ssh-ed25519 nonsense")
    public = (tmp_path / "poller_key.pub").read_bytes()
    place = sftp.add_account(tmp_path, SUPPLIER, public)
    sftp.add_account(tmp_path, SUPPLIER, public)
    assert sorted(path.name for path in place.iterdir()) == sorted(sftp.FOLDERS)
    assert sftp.accounts(tmp_path) == [SUPPLIER]
    assert (tmp_path / "accounts" / f"{SUPPLIER}.pub").read_bytes().count(b"\n") == 1


@pytest.mark.parametrize(
    "url", ["ftp://a@b/", "sftp://b/", "sftp://a:secret@b/", "sftp://a@b:99999/", "sftp://"]
)
def test_an_address_that_cannot_be_polled_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ServerPlace.of(Settings({"CARBON_SFTP_URL": url, "CARBON_HOME": "x"}))
    assert caught.value.code == "sftp_url"
    assert "secret" not in str(caught.value)


def test_a_stack_with_sftp_has_the_service_and_says_where_it_is(tmp_path: Path) -> None:
    given = Settings({"CARBON_HOME": str(tmp_path), "CARBON_CACHE": str(tmp_path / "cache")})
    for extras in ((), ("sftp",)):
        plan = make_plan(given, brokers=1, dagster=False, extras=extras, environ={})
        assert ("sftp" in [one.name for one in plan.services]) is bool(extras)
        assert plan.values.get("CARBON_SFTP_URL") == (
            "sftp://poller@127.0.0.1:2222/" if extras else None
        )
    theirs = {"CARBON_SFTP_URL": "sftp://us@example.org/"}
    plan = make_plan(given, brokers=1, dagster=False, extras=("sftp",), environ=theirs)
    assert plan.values["CARBON_SFTP_URL"] == theirs["CARBON_SFTP_URL"]


def test_a_stack_with_the_api_says_where_its_erp_systems_are(tmp_path: Path) -> None:
    given = Settings({"CARBON_HOME": str(tmp_path), "CARBON_CACHE": str(tmp_path / "cache")})
    plan = make_plan(given, brokers=1, dagster=False, extras=("api",), environ={})
    file = tmp_path.resolve() / "api" / "erp-systems.yaml"
    assert plan.values["CARBON_ERP_SYSTEMS_FILE"] == str(file)
    assert plan.values["CARBON_REVIEW_URL"] == "http://127.0.0.1:8000/review"
    theirs = {"CARBON_ERP_SYSTEMS_FILE": "/elsewhere.yaml"}
    plan = make_plan(given, brokers=1, dagster=False, extras=("api",), environ=theirs)
    assert plan.values["CARBON_ERP_SYSTEMS_FILE"] == "/elsewhere.yaml"


def test_without_a_pinned_host_key_nothing_is_asked(tmp_path: Path) -> None:
    home = {"CARBON_SFTP_URL": "sftp://poller@127.0.0.1:1/", "CARBON_HOME": str(tmp_path)}
    place = ServerPlace.of(Settings(home))
    assert place is not None
    with DropServer(place) as server, pytest.raises(ConfigurationError) as caught:
        server.listing()
    assert caught.value.code == "sftp_known_hosts"
