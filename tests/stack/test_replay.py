"""`carbon replay` and the demo data, into a real broker and a real ledger database."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from carbon_ledger import settings as settings_module
from carbon_ledger.settings import PROJECT_ROOT, Settings
from carbon_ledger.store.connect import connect_as_reader
from carbon_ledger.store.reference import read_sites
from scripts import load_demo_data
from tests.support import malformed
from tests.support.kafka_reading import Since
from tests.support.steel_lookalike import steel_lookalike

pytestmark = pytest.mark.stack

TOPIC = "raw.iot.energy"
EXAMPLE = PROJECT_ROOT / "docs" / "examples" / "steel_industry_energy.mapping.yaml"


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
        timeout=120,
        check=False,
    )


def own_mapping(folder: Path) -> tuple[Path, str]:
    """The example's mapping for a plant and a meter no other test has."""
    content = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    name = f"test-steel-{uuid4().hex}"
    content["constants"]["sensor_id"] = name
    content["site"]["facility_id"] = name
    path = folder / "mapping.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path, name


def values_of(since: Since, name: str) -> list[bytes]:
    return [one.value() for one in since.records() if one.key() == name.encode()]


def test_a_file_is_replayed_whole_and_the_same_way_every_time(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "steel.csv"
    expected = steel_lookalike(path, days=3)
    mapping, name = own_mapping(tmp_path)
    runs = []
    for _ in range(2):
        since = Since(settings=settings, topic=TOPIC)
        done = carbon("replay", str(path), "--mapping", str(mapping), "--json")
        assert done.returncode == 0, done.stderr
        account = json.loads(done.stdout)
        assert (account["rows"], account["sent"], account["delivered"]) == (288, 288, 288)
        assert Decimal(account["coverage"]["total_kwh"]) == expected
        runs.append(values_of(since, name))
    assert len(runs[0]) == 288
    assert runs[0] == runs[1]
    with connect_as_reader(settings, "test") as conn:
        site = read_sites(conn)[name]
    assert (site.time_zone, site.country_iso2) == ("Asia/Seoul", "KR")


def test_bad_rows_are_set_aside_and_can_be_repaired_and_replayed(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "steel.csv"
    steel_lookalike(path, days=1)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    lines[10] = lines[10].replace("1/1/2018", "31/2/2018")
    lines[20] = ",".join(["1/1/2018 5:00", "-1", *lines[20].split(",")[2:]])
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    mapping, name = own_mapping(tmp_path)
    since = Since(settings=settings, topic=TOPIC)
    done = carbon("replay", str(path), "--mapping", str(mapping))
    assert done.returncode == 1
    assert "line 11: date: timestamp: '31/2/2018" in done.stdout
    assert "line 21: Usage_kWh: energy_kwh" in done.stdout
    assert len(values_of(since, name)) == 94
    rejected = tmp_path / "steel.csv.rejected.csv"
    with rejected.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["rejected_line"] for row in rows] == ["11", "21"]
    assert [row["rejected_code"] for row in rows] == ["not_a_timestamp", "negative_quantity"]
    assert carbon("replay", str(path), "--mapping", str(mapping), "--skip-bad").returncode == 0

    repaired = rejected.read_text(encoding="utf-8-sig").replace("31/2/2018", "1/1/2018")
    rejected.write_text(repaired.replace(",-1,", ",1,"), encoding="utf-8")
    since = Since(settings=settings, topic=TOPIC)
    assert carbon("replay", str(rejected), "--mapping", str(mapping)).returncode == 0
    assert len(values_of(since, name)) == 2


def test_a_dry_run_sends_and_registers_nothing(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "steel.csv"
    steel_lookalike(path, days=1)
    mapping, name = own_mapping(tmp_path)
    since = Since(settings=settings, topic=TOPIC)
    done = carbon("replay", str(path), "--mapping", str(mapping), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "would send 96 readings" in done.stdout
    assert values_of(since, name) == []
    with connect_as_reader(settings, "test") as conn:
        assert name not in read_sites(conn)


def test_a_wrong_mapping_is_one_message_and_exit_code_1(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "steel.csv"
    steel_lookalike(path, days=1)
    mapping = tmp_path / "m.yaml"
    mapping.write_text(EXAMPLE.read_text(encoding="utf-8").replace("kWh\n", "kW\n"))
    done = carbon("replay", str(path), "--mapping", str(mapping))
    assert done.returncode == 1
    assert "units.energy_kwh: 'kW' is not valid" in done.stderr
    assert "Traceback" not in done.stderr


def load(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert load_demo_data.main(list(arguments)) == 0
    account: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return account


def test_demo_data_account_for_every_record_and_are_new_in_every_run(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    keys: list[set[bytes]] = []
    for _ in range(2):
        since = Since(settings=settings, topic=TOPIC)
        account = load(
            capsys, "--events=500", "--duration=0", "--seed=11", "--bad=150", "--duplicates=20"
        )
        assert (account["events"], account["malformed"], account["duplicates"]) == (500, 150, 20)
        assert (account["sent"], account["delivered"]) == (670, 670)
        run = str(account["run"]).encode()
        records = since.records()
        good = [one for one in records if one.key() is not None and one.key().endswith(run)]
        assert len(good) == 520
        assert len({one.value() for one in good}) == 500
        by_country = account["by_country"]
        assert isinstance(by_country, dict)
        assert sum(one["events"] for one in by_country.values()) == 500
        kwh = sum((Decimal(one["kwh"]) for one in by_country.values()), Decimal(0))
        assert kwh == Decimal(str(account["total_kwh"]))
        keys.append({one.value() for one in good})
    assert not keys[0] & keys[1]


def test_every_kind_of_malformed_record_is_sent_byte_for_byte(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    count = len(malformed.kinds())
    since = Since(settings=settings, topic=TOPIC)
    account = load(capsys, "--events=0", "--duration=0", "--seed=5", f"--bad={count}")
    expected = Counter(code for _, code, _ in malformed.kinds())
    assert account["malformed_by_reason"] == dict(expected)
    arrived = [one.value() for one in since.records()]
    assert len(arrived) >= count
    assert None in arrived
    assert b"" in arrived
    assert any(value is not None and len(value) > 65_536 for value in arrived)


def test_the_demo_plants_are_registered_with_their_calendars(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    load(capsys, "--events=1", "--duration=0")
    with connect_as_reader(settings, "test") as conn:
        sites = read_sites(conn)
    assert sites["demo-us-01"].time_zone == "America/Los_Angeles"
    assert sum(name.startswith("demo-") for name in sites) == 60


def test_readings_are_spread_over_the_duration(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = datetime.now(UTC)
    since = Since(settings=settings, topic=TOPIC)
    account = load(capsys, "--events=100", "--duration=3")
    seconds = (datetime.now(UTC) - begun).total_seconds()
    assert 2.9 <= seconds < 10
    run = str(account["run"]).encode()
    stamps = sorted(
        one.timestamp()[1]
        for one in since.records()
        if one.key() is not None and one.key().endswith(run)
    )
    halves = Counter(stamp < (stamps[0] + stamps[-1]) / 2 for stamp in stamps)
    assert min(halves.values()) >= 30


def test_brokers_that_do_not_answer_are_told_and_the_exit_code_is_1(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = partial(load_demo_data.CarbonEventProducer, delivery_seconds=1.0)
    monkeypatch.setattr(load_demo_data, "CarbonEventProducer", impatient)
    arguments = ["--events=1", "--duration=0", "--bootstrap-servers=localhost:1"]
    assert load_demo_data.main(arguments) == 1
    assert "did not reach Kafka" in capsys.readouterr().err
