"""The demo's factory meters: a publisher at QoS 1, and its count of what the broker acknowledged.

Belongs here: publishing, counting. Does not: what a reading says (pipeline.sources.demo), bringing
it to Kafka (the stack's own MQTT adapter).
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from random import Random

from carbon_ledger.errors import Unavailable
from cli.demo.accounts import METERS, Sent
from cli.demo.run import Run, Stopped
from pipeline.sources import demo
from pipeline.sources.demo_feeds import Message, bad_meter_messages, meter_message

# Below the broker's receive maximum.
INFLIGHT = 90
GOOD, AGAIN, BAD = "good", "again", "bad"
CONNECT_SECONDS = 60.0


def send(run: Run) -> Sent:
    """Publishes the run's readings at an even pace; what was sent is what the broker acknowledged.

    Raises Unavailable where the adapter does not subscribe, or the broker does not acknowledge.
    """
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    _wait_for_subscription(run)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"demo-meters-{run.name}")
    client.max_inflight_messages_set(INFLIGHT)
    port = run.layout.port("mqtt")
    try:
        client.connect("127.0.0.1", port, 30)
    except OSError as error:
        raise Unavailable("demo_broker", f"no MQTT broker on 127.0.0.1:{port} ({error})") from None
    client.loop_start()
    try:
        waiting: list[tuple[str, mqtt.MQTTMessageInfo]] = []
        total = run.readings + run.bad + run.duplicates
        for number, (kind, message) in enumerate(messages(run)):
            run.wait_for_share(number / total)
            waiting.append((kind, client.publish(message.topic, message.payload, qos=1)))
            run.progress["readings"] = number + 1
        deadline = time.monotonic() + run.patience
        for _, info in waiting:
            while not info.is_published() and time.monotonic() < deadline:
                info.wait_for_publish(1.0)
                if run.stop.is_set():
                    raise Stopped
    finally:
        client.disconnect()
        client.loop_stop()
    counts = Counter(kind for kind, info in waiting if info.is_published())
    missing = total - counts.total()
    return Sent(
        source=METERS,
        good=counts[GOOD],
        again=counts[AGAIN],
        bad=counts[BAD],
        problem=f"the broker did not acknowledge {missing:,} messages" if missing else None,
    )


def messages(run: Run) -> Iterator[tuple[str, Message]]:
    """What is published, in order, each with its kind; the first is a reading if there is one."""
    chance = Random(run.seed)  # noqa: S311 - an order, no secrets
    kinds = [AGAIN] * run.duplicates + [BAD] * run.bad + [GOOD] * max(0, run.readings - 1)
    chance.shuffle(kinds)
    events = demo.readings(demo.meters(run.name), run.readings, run.begun, run.seed)
    faulty = bad_meter_messages(run.name, run.begun, run.bad)
    sent: list[Message] = []
    for kind in [GOOD] * min(1, run.readings) + kinds:
        if kind == GOOD:
            sent.append(meter_message(next(events)))
            yield kind, sent[-1]
        else:
            yield kind, chance.choice(sent) if kind == AGAIN else next(faulty)


def _wait_for_subscription(run: Run) -> None:
    """What is published before the adapter's first subscription would be kept for nobody."""
    status = run.layout.home / "sources" / "mqtt.status.json"

    def is_subscribed() -> bool:
        try:
            said = json.loads(status.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(said["counts"].get("connections")) and said["problem"] is None

    run.wait_until(is_subscribed, "the MQTT adapter has not subscribed", CONNECT_SECONDS)
