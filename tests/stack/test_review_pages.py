"""The reviewers' pages, as a browser meets them: walked, opened by keys, and attacked."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import httpx
import pytest

from api.app import PAGES
from api.pages.session import COOKIE
from carbon_ledger.access_keys import ROLES, NewKey
from carbon_ledger.entries import reversal_of
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.store.connect import connect
from carbon_ledger.store.keys import revoke_key
from carbon_ledger.store.lineage import entries_by_id
from carbon_ledger.store.report_snapshots import keep_report
from devstack.postgres import Postgres
from tests.support.api_server import make_key
from tests.support.reading_ledger import post
from tests.support.review_world import ReviewWorld, made, review_world

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
READ_BY = {"auditor", "reporter", "operator"}
NOWHERE = "00000000-0000-8000-8000-000000000000"
HOSTILE = "\"><script>alert('x')</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def world(
    ledger_server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReviewWorld]:
    folder: Path = tmp_path_factory.mktemp("pages")
    with review_world(ledger_server, folder) as found:
        yield found


@dataclass
class Seen(HTMLParser):
    """What a browser makes of a page: links, forms, and whatever could run or load."""

    text: str
    links: list[tuple[str, str]] = field(default_factory=list)
    forms: list[dict[str, Any]] = field(default_factory=list)
    active: list[str] = field(default_factory=list)
    _href: str | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "object", "embed", "link", "base", "meta"):
            if not (tag == "meta" and ("charset" in given or given.get("name") == "viewport")):
                self.active.append(self.get_starttag_text() or tag)
        self.active += [name for name in given if name.startswith("on") or name == "style"]
        if tag == "a" and given.get("href"):
            self._href = given["href"]
        if tag == "form":
            self.forms.append({"action": given.get("action"), "fields": {}})
        if tag == "input" and self.forms and given.get("name"):
            self.forms[-1]["fields"][given["name"]] = given.get("value") or ""

    def handle_data(self, data: str) -> None:
        if self._href is not None:
            self.links.append((data.strip(), self._href))
            self._href = None


@dataclass
class Browser:
    """A browser with a session of a key's."""

    world: ReviewWorld
    key: NewKey
    client: httpx.Client

    def get(self, path: str, status: int = 200) -> httpx.Response:
        answer = self.client.get(path)
        assert answer.status_code == status, (path, answer.status_code, answer.text[-1500:])
        return answer

    def seen(self, path: str) -> Seen:
        return Seen(self.get(path).text)

    def follow(self, path: str, wanted: str) -> str:
        """The address of the first link of a page whose address matches."""
        for _, href in self.seen(path).links:
            if re.search(wanted, href):
                return urljoin(path, href)
        raise AssertionError(f"{path} has no link like {wanted}")

    def form(self, path: str, action: str) -> dict[str, str]:
        (found,) = [one for one in self.seen(path).forms if one["action"] == action]
        fields: dict[str, str] = found["fields"]
        return fields


def browse(world: ReviewWorld, role: str = "auditor", **changes: Any) -> Browser:
    given = {"role": role, "scopes": (), "holder": f"{role} and Co", **changes}
    key = make_key(world.settings, **given)
    client = httpx.Client(base_url=world.url, timeout=60)
    answer = client.post("/review/login", data={"key": key.text})
    assert answer.status_code == 303, answer.text
    return Browser(world=world, key=key, client=client)


@pytest.fixture(scope="module")
def auditor(world: ReviewWorld) -> Browser:
    return browse(world)


def cell_of(world: ReviewWorld, cell_id: str = "E1-6/scope_2_location/current") -> str:
    return f"/review/reports/{world.esrs}/cells/{cell_id}"


def metered_entry(world: ReviewWorld) -> str:
    ((entry_id,),) = world.ledger.rows(
        "select entry_id from ledger.entry where kafka_offset = 1 and topic = %s",
        world.ledger.topic,
    )
    return str(entry_id)


def every_page(world: ReviewWorld) -> list[str]:
    entry = metered_entry(world)
    report = f"/review/reports/{world.esrs}"
    return [
        "/review",
        "/review/sign-offs",
        "/review/now?report=esrs_e1&year=2025",
        f"/review/find?what={entry}",
        report,
        f"{report}/document",
        f"{report}/sample?n=3&seed=1",
        cell_of(world),
        f"/review/entries/{entry}",
        f"/review/records/{world.ledger.topic}/0/0/1",
        "/review/factors/1/grid%3ADE%3A2025%3Alifecycle%3Aember_owid_2026",
    ]


def test_from_a_cell_to_record_and_factor_and_back_in_six_clicks(
    world: ReviewWorld, auditor: Browser
) -> None:
    begun = cell_of(world)
    ((event_id,),) = world.ledger.rows(
        "select event_id from ledger.entry where entry_id = %s", metered_entry(world)
    )
    clicks = [begun]
    (entry,) = [href for text, href in auditor.seen(begun).links if text == event_id]
    clicks.append(entry)
    clicks.append(auditor.follow(clicks[-1], "/review/factors/"))
    page = auditor.get(clicks[-1]).text
    assert "ember_owid_2026" in page
    assert "0.32965" in page
    clicks.append(entry)  # the browser's own way back
    clicks.append(auditor.follow(clicks[-1], "/review/records/"))
    record = auditor.get(clicks[-1]).text
    assert "12.50" in record
    assert event_id in record
    clicks.append(auditor.follow(clicks[-1], re.escape(begun) + "$"))
    assert clicks[-1] == begun
    assert len(clicks) - 1 <= 6


def test_a_cell_says_what_it_is_made_of_and_that_its_entries_add_up(
    world: ReviewWorld, auditor: Browser
) -> None:
    page = auditor.get(cell_of(world)).text
    assert "exactly 0.27522375 tCO2e" in page
    assert "add up to 275.22375 kgCO2e: exactly the figure" in page
    total = auditor.get(cell_of(world, "E1-6/total_location/current")).text
    assert "E1-6/scope_1/current\n+ E1-6/scope_2_location/current\n+ " in total
    entry = auditor.get(f"/review/entries/{metered_entry(world)}").text
    assert "equal in every field" in entry
    assert "12.5 kWh (metered; meter M1)" in entry
    assert "x 0.32965 kgCO2e per kWh (emission factor" in entry
    assert "<li>The factor covers the whole life cycle, " in entry
    assert "boundary_substitute" in entry


def test_a_report_made_now_leads_to_the_same_entries_and_is_made_again(
    world: ReviewWorld, auditor: Browser
) -> None:
    answer = auditor.get("/review/now?report=esrs_e1&year=2025", 303)
    made = answer.headers["location"]
    assert auditor.get(made).text == auditor.get(made).text
    cell = auditor.get(f"{made}/cells/E1-6/scope_2_location/current").text
    assert "exactly the figure" in cell
    assert "Sign off" not in cell
    auditor.get("/review/now?report=esrs_e1&year=2025&as_of=2099-01-01T00:00:00Z", 422)
    auditor.get("/review/now?report=esrs_e1&year=2011", 303)
    auditor.get(made.replace("2025", "2011", 1), 404)


def test_the_document_of_a_report_leads_to_its_cells(world: ReviewWorld, auditor: Browser) -> None:
    page = f"/review/reports/{world.esrs}/document"
    assert auditor.follow(page, "/cells/E1-6/scope_2_location/current") == cell_of(world)


def test_records_and_events_are_found_by_name(world: ReviewWorld, auditor: Browser) -> None:
    place = f"{world.ledger.topic}:0:1"
    record = f"/review/records/{world.ledger.topic}/0/0/1"
    found = {
        what: auditor.client.get("/review/find", params={"what": what}).headers.get("location")
        for what in (place, "iot:M1@2025-03-10T08:15:00Z#0", "t:3#0", metered_entry(world))
    }
    assert found[place] == found["iot:M1@2025-03-10T08:15:00Z#0"] == record
    assert found[metered_entry(world)] == f"/review/entries/{metered_entry(world)}"
    assert str(found["t:3#0"]).startswith("/review/entries/")
    for what, status in ((NOWHERE, 404), ("iot:none@x#0", 404), ("none:0:1", 404), ("x", 422)):
        assert auditor.client.get("/review/find", params={"what": what}).status_code == status


# ---- who is let in


def test_nobody_is_led_to_the_form_and_then_to_the_page(world: ReviewWorld) -> None:
    with httpx.Client(base_url=world.url, timeout=60) as client:
        for path in every_page(world):
            answer = client.get(path)
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/review/login")
            assert answer.content == b""
        wanted = cell_of(world)
        form = Seen(client.get(client.get(wanted).headers["location"]).text).forms[0]
        assert form["fields"]["next"] == wanted
        key = make_key(world.settings, role="auditor", scopes=(), holder="auditor and Co")
        answer = client.post("/review/login", data={**form["fields"], "key": key.text})
        assert (answer.status_code, answer.headers["location"]) == (303, wanted)
        assert client.get(wanted).status_code == 200


def without_a_row(pages: list[str]) -> set[str]:
    """Addresses of the app's pages that none of these is of."""
    paths = {one.path for module in PAGES for one in module.router.routes}
    found = set()
    for path in paths - {"/review/login", "/review/logout"}:
        shape = re.sub(r"\{\w+(:path)?\}", lambda one: ".+" if one[1] else "[^/]+", path)
        if not any(re.fullmatch(shape, urlsplit(page).path) for page in pages):
            found.add(path)
    return found


def test_every_page_is_among_those_that_are_tried_here(world: ReviewWorld) -> None:
    pages = every_page(world)
    assert without_a_row(pages) == set()
    fewer = [page for page in pages if "/sample" not in page]
    assert without_a_row(fewer) == {"/review/reports/{ref}/sample"}


@pytest.mark.parametrize("role", list(ROLES))
def test_each_role_sees_all_pages_or_none(world: ReviewWorld, role: str) -> None:
    if role in READ_BY:
        browser = browse(world, role)
        for path in every_page(world):
            assert browser.client.get(path).status_code in (200, 303)
        return
    key = make_key(world.settings, role=role, scopes=())
    with httpx.Client(base_url=world.url, timeout=60) as client:
        refused = client.post("/review/login", data={"key": key.text})
        assert refused.status_code == 403
        assert COOKIE not in client.cookies


def test_wrong_keys_are_answered_alike_and_a_session_ends_with_its_key(world: ReviewWorld) -> None:
    browser = browse(world)
    session = browser.client.cookies[COOKIE]
    unknown = f"ck_{'a' * 16}_{browser.key.secret}"
    wrong = f"ck_{browser.key.key_id}_{'a' * 52}"
    with httpx.Client(base_url=world.url, timeout=60) as client:
        answers = [
            client.post("/review/login", data={"key": one}) for one in (unknown, wrong, "x", "")
        ]
        assert {one.status_code for one in answers} == {401}
        assert len({one.content for one in answers}) == 1
        forged = session.replace(browser.key.key_id, "b" * 16)
        later = re.sub(r"_\d{10}_", "_9999999999_", session)
        for cookie in (forged, later, session[:-1], "cs", browser.key.text):
            answer = client.get("/review", headers={"Cookie": f"{COOKIE}={cookie}"})
            assert answer.status_code == 303
    with closing(connect(world.settings["CARBON_DATABASE_WRITER_URL"], "tests", True)) as conn:
        revoke_key(conn, browser.key.key_id, revoked_by="tests", reason="for a test")
    with httpx.Client(base_url=world.url, timeout=60, cookies={COOKIE: session}) as client:
        deadline = time.monotonic() + 5
        while client.get("/review").status_code != 303:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_the_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(
    world: ReviewWorld,
) -> None:
    key = make_key(world.settings, role="auditor", scopes=(), holder="auditor and Co")
    # Behind a proxy that changes Host, Sec-Fetch-Site says that the form is of these pages.
    proxied = {"Sec-Fetch-Site": "same-origin"}
    for headers, is_secure in (
        ({"Host": "127.0.0.1:1"}, False),
        ({"Host": "[::1]:1", "Origin": "http://[::1]:1"}, False),
        ({"Host": "127.0.0.1:8000", "Origin": "http://localhost:8000", **proxied}, False),
        ({"Host": "ledger.example"}, True),
        ({"Host": "127.0.0.1:8000", "Origin": "https://audit.example", **proxied}, True),
        ({"Host": "127.0.0.1:8000", "Origin": "https://127.0.0.1:8000"}, True),
        ({"Host": "127.0.0.1:8000", "Origin": "http://audit.example", **proxied}, True),
        ({"Host": "127.0.0.1:8000", "Origin": "null", **proxied}, True),
        ({"Host": "127.0.0.1:8000", "Origin": "http://[bad", **proxied}, True),
        ({"Host": "ledger.example", "Origin": "http://localhost:8000", **proxied}, True),
        ({"Host": "[bad"}, True),
    ):
        answer = httpx.post(f"{world.url}/review/login", data={"key": key.text}, headers=headers)
        said = answer.headers["set-cookie"]
        assert "HttpOnly" in said
        assert "SameSite=strict" in said
        assert ("Secure" in said) is is_secure, headers
        assert key.secret not in said


def test_a_login_leads_nowhere_else(world: ReviewWorld) -> None:
    key = make_key(world.settings, role="auditor", scopes=(), holder="auditor and Co")
    for wanted in ("https://evil.example/review", "//evil.example/review", "/\\evil", "/v1/x", "a"):
        answer = httpx.post(
            f"{world.url}/review/login", data={"key": key.text, "next": wanted}, timeout=60
        )
        assert answer.headers["location"] == "/review"


def test_what_is_somebody_else_s_is_answered_like_what_is_not_there(
    world: ReviewWorld, auditor: Browser
) -> None:
    ((foreign_entry,),) = world.ledger.rows(
        "select entry_id from ledger.entry where organization_id = 'other'"
    )
    other = browse(world, organization_id="other")
    record = f"/review/records/{world.ledger.topic}/0/0"
    for browser, foreign, absent in (
        (auditor, f"/review/reports/{world.foreign}", f"/review/reports/{NOWHERE}"),
        (auditor, f"/review/entries/{foreign_entry}", f"/review/entries/{NOWHERE}"),
        (auditor, "/review/find?what=t:8%230", "/review/find?what=t:99%230"),
        (other, cell_of(world), cell_of(world).replace(str(world.esrs), NOWHERE)),
        (other, f"/review/entries/{metered_entry(world)}", f"/review/entries/{NOWHERE}"),
        (other, f"{record}/1", f"{record}/999"),
        (other, f"/review/reports/{world.esrs}/sample", f"/review/reports/{NOWHERE}/sample"),
    ):
        answers = [browser.client.get(path) for path in (foreign, absent)]
        assert [one.status_code for one in answers] == [404, 404], foreign
        assert answers[0].content == answers[1].content


def test_what_an_auditor_looks_at_is_recorded_and_nobody_else_s_looks(world: ReviewWorld) -> None:
    def reads(browser: Browser) -> list[tuple[Any, ...]]:
        return world.ledger.rows(
            "select method, path, query from access.audited_read where key_id = %s "
            "order by read_id",
            browser.key.key_id,
        )

    browser = browse(world)
    sample = f"/review/reports/{world.esrs}/sample"
    browser.get(cell_of(world))
    browser.get(f"{sample}?n=3&seed=1")
    assert reads(browser) == [
        ("POST", "/review/login", ""),
        ("GET", cell_of(world), ""),
        ("GET", sample, "n=3&seed=1"),
    ]
    operator = browse(world, "operator")
    operator.get(cell_of(world))
    assert reads(operator) == []


# ---- signing


def signed(world: ReviewWorld, key: NewKey) -> list[tuple[Any, ...]]:
    return world.ledger.rows(
        "select subject_kind, verdict, note from audit.sign_off where key_id = %s "
        "order by sign_off_id",
        key.key_id,
    )


def test_an_auditor_signs_off_on_a_cell_an_entry_and_a_sample(world: ReviewWorld) -> None:
    browser = browse(world)
    sample = f"/review/reports/{world.esrs}/sample?cell=E1-6/scope_1/current&n=1&seed=5"
    for path in (cell_of(world), f"/review/entries/{metered_entry(world)}", sample):
        for verdict, note in (("exception", f"{HOSTILE}\r\nsecond"), ("agreed", "")):
            fields = {**browser.form(path, "/review/sign-offs"), "verdict": verdict, "note": note}
            answer = browser.client.post("/review/sign-offs", data=fields)
            assert answer.status_code == 303, answer.text
            assert browser.client.get(answer.headers["location"]).status_code == 200
        page = browser.seen(path)
        assert page.active == []
        assert "superseded" in page.text
        assert HOSTILE not in page.text
    assert signed(world, browser.key) == [
        (kind, verdict, note)
        for kind in ("cell", "entry", "sample")
        for verdict, note in (("exception", f"{HOSTILE}\nsecond"), ("agreed", ""))
    ]
    ((content, kept),) = world.ledger.rows(
        "select o.subject_sha256, s.content_sha256 from audit.sign_off o join reports.snapshot s "
        "using (snapshot_id) where o.key_id = %s and o.subject_kind = 'cell' limit 1",
        browser.key.key_id,
    )
    assert content == kept
    refused = {**browser.form(cell_of(world), "/review/sign-offs"), "verdict": "exception"}
    assert browser.client.post("/review/sign-offs", data=refused).status_code == 422
    assert len(signed(world, browser.key)) == 6


def test_nobody_signs_by_a_form_of_another_site_or_session_or_without_the_scope(
    world: ReviewWorld,
) -> None:
    browser, other = browse(world), browse(world)
    good = {**browser.form(cell_of(world), "/review/sign-offs"), "verdict": "agreed"}
    without = {name: value for name, value in good.items() if name != "form_token"}
    foreign = {**good, "form_token": other.form(cell_of(world), "/review/sign-offs")["form_token"]}
    for data, headers in (
        (without, {}),
        (foreign, {}),
        (good, {"Origin": "https://evil.example"}),
        (good, {"Sec-Fetch-Site": "cross-site"}),
        (good, {"Sec-Fetch-Site": "same-site"}),
        (good, {"Origin": "null"}),
    ):
        answer = browser.client.post("/review/sign-offs", data=data, headers=headers)
        assert answer.status_code == 403, (headers, answer.text)
    as_json = browser.client.post("/review/sign-offs", json=good)
    assert as_json.status_code == 415
    reporter = browse(world, "reporter")
    assert "Sign off</button>" not in reporter.get(cell_of(world)).text
    token = {**good, "form_token": reporter.form("/review", "/review/logout")["form_token"]}
    assert reporter.client.post("/review/sign-offs", data=token).status_code == 403
    missing = {**good, "snapshot_id": str(uuid4())}
    assert browser.client.post("/review/sign-offs", data=missing).status_code == 404
    assert signed(world, browser.key) == signed(world, reporter.key) == []
    here = {"Sec-Fetch-Site": "same-origin", "Origin": world.url}
    assert browser.client.post("/review/sign-offs", data=good, headers=here).status_code == 303
    assert len(signed(world, browser.key)) == 1


def test_logging_out_takes_the_session_away(world: ReviewWorld) -> None:
    browser = browse(world)
    assert browser.client.post("/review/logout").status_code == 415
    fields = browser.form("/review", "/review/logout")
    assert browser.client.post("/review/logout", data=fields).status_code == 303
    browser.get("/review", 303)


# ---- what a page is


def test_no_page_runs_or_loads_anything(world: ReviewWorld, auditor: Browser) -> None:
    hashes = set()
    for path in [*every_page(world), "/review/login", f"/review/entries/{NOWHERE}"]:
        answer = auditor.client.get(path, follow_redirects=True)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        if path.endswith("/document"):
            continue
        assert Seen(answer.text).active == [], path
        (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
        hashes.add(base64.b64encode(hashlib.sha256(style.encode()).digest()).decode())
        assert f"style-src 'sha256-{next(iter(hashes))}'" in policy
    assert len(hashes) == 1


def test_hostile_text_of_the_ledger_is_text_on_the_pages(
    world: ReviewWorld, auditor: Browser
) -> None:
    ((entry_id,),) = world.ledger.rows("select entry_id from ledger.entry where event_id = 't:2#0'")
    with closing(world.ledger.writer()) as conn:
        (row,) = entries_by_id(conn, [entry_id])
        back = reversal_of(row, recorded_at=row.recorded_at, cause=f"correction:{HOSTILE}")
        post(conn, [back])
    page = auditor.seen(f"/review/entries/{back.entry_id}")
    assert "onerror=alert(1)" in page.text  # as text
    assert page.active == []
    for path in (
        f"/review/reports/{world.esrs}/cells/{HOSTILE}",
        f"/review/find?what={HOSTILE}",
        f"/review/login?next={HOSTILE}",
        f"/review/factors/1/{HOSTILE}",
        f"/review?before={HOSTILE}",
        f"{cell_of(world)}?after={HOSTILE}",
        f"/review/reports/{world.esrs}/sample?method={HOSTILE}",
    ):
        answer = auditor.client.get(path)
        assert answer.status_code in (200, 404, 422), path
        assert Seen(answer.text).active == [], path


# ---- faults that a reviewer has to see


def test_a_figure_that_its_entries_do_not_add_up_to_is_told(
    world: ReviewWorld, auditor: Browser
) -> None:
    report = made(world.ledger, esrs_e1)
    cell_id = "E1-6/scope_1/current"
    (section,) = [one for one in report.sections if cell_id in one.cells]
    wrong = replace(section.cells[cell_id], value=Decimal("0.08"))
    cells = {**section.cells, cell_id: wrong}
    planted = replace(report, sections=(replace(section, tables=(), cells=cells),))
    snapshot_id = uuid4()
    with closing(world.ledger.writer()) as conn:
        keep_report(conn, planted, snapshot_id=snapshot_id, run_id="planted")
    told = "That is not the figure"
    assert told in auditor.get(f"/review/reports/{snapshot_id}/cells/{cell_id}").text
    assert told not in auditor.get(cell_of(world, cell_id)).text


def test_an_archive_that_was_altered_is_told(world: ReviewWorld, auditor: Browser) -> None:
    ((path,),) = world.ledger.rows("select distinct archive_object from ledger.batch_part")
    file = Path(urlsplit(world.ledger.archive_url).path) / path
    before, pages = file.read_bytes(), every_page(world)
    entry, record = [one for one in pages if "/entries/" in one or "/records/" in one]
    assert "equal in every field" in auditor.get(entry).text
    file.chmod(0o600)
    file.write_bytes(before[:-20] + bytes(20))
    try:
        for page in (entry, record):
            assert "archive_altered" in auditor.get(page).text
        assert "equal in every field" not in auditor.get(entry).text
    finally:
        file.write_bytes(before)
    assert "equal in every field" in auditor.get(entry).text
