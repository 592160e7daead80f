"""`carbon replay` of shipments: legs into a real broker, other rows into its dead letters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from carbon_ledger import settings as settings_module
from carbon_ledger.settings import PROJECT_ROOT, Settings
from pipeline.topics import DEAD_LETTERS
from tests.support.kafka_reading import Since
from tests.support.micro_batch import micro_batch_bench

pytestmark = pytest.mark.stack

TOPIC = "raw.logistics"
EXAMPLE = PROJECT_ROOT / "docs" / "examples" / "scms_delivery_history.mapping.yaml"
HISTORY = PROJECT_ROOT.parent / "shared" / "samples" / "scms_delivery_history.tsv"
COLUMNS = (
    "ID",
    "Country",
    "Fulfill Via",
    "Vendor INCO Term",
    "Shipment Mode",
    "Delivered to Client Date",
    "Manufacturing Site",
    "Weight (Kilograms)",
)


@pytest.fixture
def settings(stack: object) -> Settings:
    return settings_module.load()


def carbon(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=PROJECT_ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def values_in(since: Since, wanted: set[str]) -> list[tuple[bytes, bytes]]:
    return [(one.key(), one.value()) for one in since.records() if one.key().decode() in wanted]


def letters_of(since: Since, name: str) -> list[dict[str, str]]:
    found = []
    for one in since.records():
        headers = {key: (value or b"").decode() for key, value in one.headers() or []}
        if headers.get("carbon.source") == f"replay:{name}":
            found.append({**headers, "payload": one.value().decode()})
    return found


def test_legs_are_sent_the_same_way_every_time_and_other_rows_are_dead_letters(
    settings: Settings, tmp_path: Path
) -> None:
    ids = [uuid4().hex[:12] for _ in range(4)]
    india = "Cipla, Goa, India"
    rows = [
        (ids[0], "Vietnam", "Direct Drop", "EXW", "Air", "2-Jun-06", india, "13"),
        (ids[1], "Zambia", "From RDC", "N/A - From RDC", "Truck", "5-Mar-10", india, "250.5"),
        (ids[2], "Zambia", "From RDC", "N/A", "Truck", "5-Mar-10", "", "See DN-304 (ID#:10589)"),
        (ids[3], "Zambia", "From RDC", "N/A", "N/A", "5-Mar-10", "", "7"),
    ]
    path = tmp_path / f"{ids[0]}.tsv"
    lines = ["\t".join(COLUMNS), *("\t".join(row) for row in rows)]
    path.write_text("\r".join(lines) + "\r", encoding="utf-8")
    sent: list[list[tuple[bytes, bytes]]] = []
    dead = Since(settings=settings, topic=DEAD_LETTERS)
    for _ in range(2):
        since = Since(settings=settings, topic=TOPIC)
        done = carbon("replay", str(path), "--mapping", str(EXAMPLE), "--json")
        assert done.returncode == 1, done.stderr
        told = json.loads(done.stdout)
        assert (told["rows"], told["sent"], told["delivered"]) == (4, 2, 2)
        assert (told["dead_letters"], told["total_kg"]) == (2, "263.5")
        sent.append(values_in(since, set(ids)))
    assert len(sent[0]) == 2
    assert sorted(sent[0]) == sorted(sent[1])
    letters = letters_of(dead, path.name)
    assert len(letters) == 4
    by_line = {one["carbon.coordinates"].split("line ")[1]: one for one in letters}
    assert by_line["4"]["carbon.reason_code"] == "mass_in_another_row"
    assert "row with ID 10589" in by_line["4"]["carbon.reason"]
    assert by_line["4"]["payload"] == "\t".join(rows[2])
    assert by_line["5"]["carbon.reason_code"] == "mode_not_stated"
    text = carbon("replay", str(path), "--mapping", str(EXAMPLE), "--skip-bad")
    assert text.returncode == 0
    assert "4 rows: sent 2 shipments, 2 bad" in text.stdout
    assert "assumed   origin of 2" in text.stdout


@pytest.mark.night
@pytest.mark.skipif(not HISTORY.exists(), reason="the USAID shipment history is not beside us")
def test_every_row_of_the_usaid_history_is_ledgered_or_has_a_reason(
    stack: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = Since(settings=settings, topic=TOPIC)
    dead = Since(settings=settings, topic=DEAD_LETTERS)
    rejected = tmp_path / "rejected.tsv"
    done = carbon(
        "replay",
        str(HISTORY),
        *("--mapping", str(EXAMPLE), "--rejected", str(rejected), "--skip-bad", "--json"),
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    records = since.records()
    assert told["rows"] == 10_324
    assert told["delivered"] == told["sent"] == len(records)
    reasons = Counter(one["carbon.reason_code"] for one in letters_of(dead, HISTORY.name))
    assert reasons == told["bad_by_code"]
    # The policy of this replay: the published factors begin 10 to 18 years after these shipments.
    monkeypatch.setenv("CARBON_MAX_VINTAGE_GAP_YEARS", "20")
    with micro_batch_bench(stack, "logistics") as bench:
        bench.send(*((one.key(), one.value()) for one in records))
        result = bench.work()
        refused = bench.rows("select reason_code, count(*) from ledger.dead_letter group by 1")
        ((kg, lines),) = bench.rows("select sum(kgco2e), count(*) from ledger.entry")
        ((unflagged,),) = bench.rows(
            "select count(*) from ledger.entry where position('assumed_origin' in flags) = 0 "
            "or position('distance_between_countries' in flags) = 0 "
            "or position('vintage_gap' in flags) = 0"
        )
    ledgered = result.total("ledgered")
    reasons.update(dict(refused))
    account = [f"{ledgered:,} ledgered, {kg} kgCO2e"]
    account += [f"{number:,} {code}" for code, number in reasons.most_common()]
    sys.stdout.write("\n" + "\n".join(account) + "\n")
    assert ledgered + reasons.total() == 10_324
    assert ledgered == lines == 6_055
    assert unflagged == 0
