"""A line that was cancelled at its source: nothing of it stands, its record is accounted for."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.kafka import kafka_config
from pipeline.producers import CarbonEventProducer, PurchaseOrderEvent
from pipeline.serialization import Registry, encode, ensure_schema
from tests.support.plain_ledger import PlainLedger, plain_ledger

pytestmark = pytest.mark.stack


def order(line_no: int, **changes: Any) -> PurchaseOrderEvent:
    fields: dict[str, Any] = {
        "purchase_order_id": "4500000001",
        "document_id": "4500000001",
        "document_kind": "purchase_order",
        "line_no": line_no,
        "entity_id": "DE01",
        "supplier_id": "SUP_042_DE",
        "amount_net": "1200.50",
        "currency": "EUR",
        "timestamp": datetime(2024, 5, 6, tzinfo=UTC),
    }
    return PurchaseOrderEvent(**{**fields, **changes})


def send(ledger: PlainLedger, *events: PurchaseOrderEvent) -> None:
    schema_id = ensure_schema(Registry(ledger.settings), ledger.stream.topic, "procurement")
    with CarbonEventProducer(settings=ledger.settings) as producer:
        for event in events:
            producer.send_bytes(ledger.stream.topic, b"4500000001", encode(event, schema_id))


def test_nothing_stands_of_what_was_cancelled_until_it_is_brought_back(stack: Any) -> None:
    topic = f"test.procurement.{uuid.uuid4().hex[:8]}"
    with plain_ledger(stack, "procurement", topic) as ledger:
        admin = AdminClient(kafka_config(ledger.settings))
        config = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
        admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result(20)
        standing = (
            "select activity_ref, event_id, quantity from ledger.active_entry order by event_id"
        )
        send(ledger, order(1), order(2), order(3, is_cancelled=True))
        ledger.take()
        assert [row[1] for row in ledger.rows(standing)] == [
            "purchase:4500000001/1#0",
            "purchase:4500000001/2#0",
        ]
        # Cancelled, told twice; and cancelled where the first revision comes only afterwards.
        gone = order(1, revision=1, is_cancelled=True)
        send(ledger, gone, gone, order(9, revision=1, is_cancelled=True))
        ledger.take()
        assert [row[1] for row in ledger.rows(standing)] == ["purchase:4500000001/2#0"]
        send(ledger, order(9), order(1, revision=2, amount_net="7"))
        ledger.take()
        assert ledger.rows(standing) == [
            ("purchase:4500000001/1", "purchase:4500000001/1#2", Decimal(7)),
            ("purchase:4500000001/2", "purchase:4500000001/2#0", Decimal("1200.50")),
        ]
        assert ledger.totals == Counter(
            records_read=8, ledgered=6, duplicate=1, quarantined=1, dead_lettered=0
        )
        # Every cancellation has its own pair of entries, which cancel each other out.
        assert ledger.rows(
            "select count(*), count(*) filter (where reverses_id is not null), sum(quantity)"
            " from ledger.entry where flags like '%%cancelled%%'"
        ) == [(6, 3, Decimal(0))]
        windows = ledger.rows(
            "select coalesce(sum(kgco2e), 0), sum(entries) from windows.five_minute"
        )
        assert windows == ledger.rows(
            "select coalesce(sum(kgco2e), 0), count(*) from ledger.active_entry"
        )
        admin.delete_topics([topic])[topic].result(20)
