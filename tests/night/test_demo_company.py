"""The demo company into a real broker and a real ledger database, as somebody loads it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger import settings as settings_module
from carbon_ledger.store.connect import connect_as_reader
from carbon_ledger.store.reference import read_register
from pipeline.sources import company_reference
from scripts import load_demo_data
from tests.support.kafka_events import event_in
from tests.support.kafka_reading import Since

pytestmark = [pytest.mark.stack, pytest.mark.night, pytest.mark.timeout(600)]

STREAM_OF = {
    "raw.iot.energy": "iot_energy",
    "raw.transport": "transport",
    "raw.logistics": "logistics",
    "raw.procurement": "procurement",
    "raw.supplier": "supplier",
}
# Their readings are written with a wider schema than that of the stream.
WIDER = (b"mer-leeds.gas", b"mer-hamburg.roof")


def loaded(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert load_demo_data.main(["--company", *arguments]) == 0
    summary: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return summary


def test_the_company_is_registered_and_every_event_of_the_truth_is_in_its_topic(
    stack: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_module.load()
    since = {topic: Since(settings=settings, topic=topic) for topic in STREAM_OF}
    first = loaded(capsys, "--reference-only")
    # None where a kept stack has them from an earlier run.
    stated = sum(map(len, company_reference.reference_rows().values()))
    assert first["reference_changes"] in (0, stated)
    assert "events" not in first
    with connect_as_reader(settings, "tests") as conn:
        register = read_register(conn)
    assert [one.entity_id for one in register.entities(company_reference.ACQUIRED)] == [
        "meridian-components",
        "meridian-holding",
        "meridian-korea",
        "meridian-ohio",
    ]

    path = tmp_path / "truth.json"
    summary = loaded(capsys, "--years", "2025", "--seed", "7", "--truth", str(path))
    assert summary["reference_changes"] == 0
    truth = json.loads(path.read_bytes())
    assert summary["events"] == summary["sent"] == summary["delivered"] == len(truth["events"])

    seen = set()
    sent = Counter[str]()
    for topic, arrived in since.items():
        for record in arrived.records():
            sent[topic] += 1
            if record.key() not in WIDER:
                seen.add(event_in(record.value(), STREAM_OF[topic]).event_id)
    assert dict(sent) == summary["by_topic"]
    wider = {name for name in truth["events"] if name.startswith(tuple(map(_prefix, WIDER)))}
    assert seen == truth["events"].keys() - wider
    assert len(wider) == 24


def _prefix(key: bytes) -> str:
    return f"iot:{key.decode()}@"
