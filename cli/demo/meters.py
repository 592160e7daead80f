"""The demo's factory meters: a publisher at QoS 1, and its count of what the broker acknowledged.

Belongs here: publishing, counting. Does not: what a reading says (pipeline.sources.demo), bringing
it to Kafka (the stack's own MQTT adapter).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from random import Random

from carbon_ledger.errors import Unavailable
from cli.demo.accounts import METERS, Sent
from cli.demo.run import Run
from pipeline.sources import demo
from pipeline.sources.demo_feeds import Message, bad_meter_messages, meter_message

# Below the broker's receive maximum.
INFLIGHT = 90
# A broker that is slower than the pace is waited for here: MQTT has 65,535 numbers for messages.
OPEN_MAX = 20_000
GOOD, AGAIN, BAD = "good", "again", "bad"
CONNECT_SECONDS = 60.0


class Outbox:
    """What was published and is not acknowledged yet, by number and kind; counts what was.

    A message that is published while the connection is down goes out once it is back, so whether it
    was published says nothing: the acknowledgement does.
    """

    def __init__(self) -> None:
        self.acknowledged: Counter[str] = Counter()
        self._kinds: dict[int, str] = {}
        self._said: SimpleQueue[int] = SimpleQueue()

    def published(self, number: int, kind: str) -> None:
        """The client has it under this number."""
        self._kinds[number] = kind

    def say_acknowledged(self, number: int) -> None:
        """The broker has it; in the client's thread, perhaps before `published` was called."""
        self._said.put(number)

    def open(self) -> int:
        """How many the broker has not acknowledged."""
        while True:
            try:
                self.acknowledged[self._kinds.pop(self._said.get_nowait())] += 1
            except Empty:
                return len(self._kinds)


def send(run: Run) -> Sent:
    """Publishes the run's readings at an even pace; what was sent is what the broker acknowledged,
    and its problem says how many messages it did not.

    Raises Unavailable where the adapter does not subscribe, or the broker cannot be reached or
    acknowledges nothing while OPEN_MAX messages wait.
    """
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    _wait_for_subscription(run)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"demo-meters-{run.name}")
    client.max_inflight_messages_set(INFLIGHT)
    outbox = Outbox()
    client.on_publish = lambda client, data, number, *rest: outbox.say_acknowledged(number)
    port = run.layout.port("mqtt")
    try:
        client.connect("127.0.0.1", port, 30)
    except OSError as error:
        raise Unavailable("demo_broker", f"no MQTT broker on 127.0.0.1:{port} ({error})") from None
    client.loop_start()
    try:
        total = run.readings + run.bad + run.duplicates
        for number, (kind, message) in enumerate(messages(run)):
            run.wait_for_share(number / total)
            if outbox.open() >= OPEN_MAX:
                run.wait_until(
                    lambda: outbox.open() < OPEN_MAX,
                    f"the broker acknowledges none of {OPEN_MAX:,} messages",
                    run.patience,
                )
            outbox.published(client.publish(message.topic, message.payload, qos=1).mid, kind)
            run.progress["readings"] = number + 1
        with suppress(Unavailable):
            run.wait_until(lambda: not outbox.open(), "acknowledgements", run.patience)
    finally:
        client.disconnect()
        client.loop_stop()
    missing, counts = outbox.open(), outbox.acknowledged
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
