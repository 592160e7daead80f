"""The connection to an MQTT broker: one session, kept over reconnects, read only as fast as asked.

Belongs here: connecting with growing pauses, subscribing, keep-alive, which messages may still be
acknowledged. Does not: what messages say (mqtt_messages), Kafka (mqtt).

Everything happens in the caller's thread, inside `turn`: a message is read from the socket only
when the caller has room for it, so that TCP and the broker hold back the rest.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from carbon_ledger.errors import ConfigurationError
from pipeline.sources.mqtt_config import MqttConfig, Tls

log = logging.getLogger(__name__)

QOS: Final = 1
CONNECT_SECONDS: Final = 15.0
TCP_SECONDS: Final = 5.0
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
NEVER_RETAINED: Final = 2  # MQTT 5, 3.8.3.1: retain handling
# Refusals that no waiting mends (names of MQTT 5; paho gives those of 3.1.1 the same ones).
PERMANENT: Final = (
    "Bad user name or password",
    "Not authorized",
    "Client identifier not valid",
    "Unsupported protocol version",
    "Bad authentication method",
    "Banned",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A message as it came. `connection` numbers the connection it came over: it can be
    acknowledged over that one only, over a later one the broker sends it again.
    """

    topic: str
    payload: bytes
    qos: int
    message_id: int
    is_retained: bool
    is_repeated: bool
    connection: int


class MqttLink:
    """A session on a broker. `received` fills in `turn`; the caller takes from its left."""

    def __init__(self, config: MqttConfig) -> None:
        self.config = config
        self.received: deque[Received] = deque()
        self.problem: str | None = "not connected yet"
        self.connections = 0  # attempts: the number of each is its mark
        self.sessions = 0
        self.is_subscribed = False
        self._was_subscribed = False
        self._is_open = False
        self._pause = FIRST_PAUSE
        self._next_try = 0.0
        self._give_up_at = 0.0
        self._said = ""
        self._fatal: ConfigurationError | None = None
        self._client = self._make_client()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._is_open

    def turn(self, seconds: float, *, reads: bool) -> None:
        """Up to `seconds` of network work; at most one message is read, none unless `reads`.

        Raises ConfigurationError `mqtt_refused` if the broker refuses this client for good before
        it ever worked; any other fault is told in `problem` and tried again.
        """
        if not self._is_open:
            self._open(seconds)
            return
        if reads:
            code = self._client.loop(seconds)
        else:
            time.sleep(min(seconds, 0.05))
            code = self._client.loop_misc()
            if code == MQTTErrorCode.MQTT_ERR_SUCCESS and self._client.want_write():
                code = self._client.loop_write()
        if self._fatal is not None:
            raise self._fatal
        if not self._is_open:
            return  # `_on_disconnect` has told why
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lost(paho.error_string(code))
        elif not self.is_subscribed and time.monotonic() > self._give_up_at:
            self._lost(f"no answer in {CONNECT_SECONDS:.0f} s")

    def acknowledge(self, message: Received) -> bool:
        """Tells the broker that the message need not come again; False if it is too late for that
        over this connection, and the broker will send it again.
        """
        if not self._is_open or message.connection != self.connections or message.qos == 0:
            return message.qos == 0
        code = self._client.ack(message.message_id, message.qos)
        return code == MQTTErrorCode.MQTT_ERR_SUCCESS

    def publish(self, topic: str, payload: bytes) -> None:
        """A message at QoS 0, if there is a connection."""
        if self.is_subscribed:
            self._client.publish(topic, payload, 0)

    def close(self) -> None:
        """Ends the connection in good order; the session stays at the broker."""
        if not self._is_open:
            return
        for _ in range(100):  # acknowledgements that the socket had no room for
            if not self._client.want_write():
                break
            if self._client.loop_write() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
            time.sleep(0.01)
        self._is_open = self.is_subscribed = False
        self._client.disconnect()

    def _make_client(self) -> paho.Client:
        config = self.config
        is_5 = config.version == "5"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=config.client_id,
            clean_session=None if is_5 else False,
            protocol=paho.MQTTv5 if is_5 else paho.MQTTv311,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = TCP_SECONDS
        if config.username is not None:
            client.username_pw_set(config.username, config.password)
        if config.tls is not None:
            client.tls_set_context(_tls_context(config.tls))
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _open(self, seconds: float) -> None:
        wait = self._next_try - time.monotonic()
        if wait > 0:
            time.sleep(min(wait, seconds))
            return
        self.connections += 1
        self._give_up_at = time.monotonic() + CONNECT_SECONDS
        try:
            self._client.connect(
                self.config.host,
                self.config.port,
                self.config.keepalive_seconds,
                **self._connect_options(),
            )
            self._is_open = True
        except (OSError, ValueError) as error:
            self._lost(str(error))

    def _connect_options(self) -> dict[str, Any]:
        if self.config.version != "5":
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self.config.session_seconds
        properties.ReceiveMaximum = self.config.window
        return {"clean_start": False, "properties": properties}

    def _lost(self, reason: str) -> None:
        self._is_open = self.is_subscribed = False
        said, self._said = self._said, ""  # the broker's own words, where it gave some
        self.problem = f"{self.config.host}:{self.config.port}: {said or reason}"
        log.warning("%s; again in %.1f s", self.problem, self._pause)
        self._next_try = time.monotonic() + self._pause
        self._pause = min(LONGEST_PAUSE, self._pause * 2)

    def _on_connect(
        self, client: Any, data: object, flags: Any, code: ReasonCode, properties: object
    ) -> None:
        if code.is_failure:
            self._said = f"refused: {code}"
            if str(code) in PERMANENT and not self._was_subscribed:
                self._fatal = ConfigurationError(
                    "mqtt_refused",
                    f"{self.config.host}:{self.config.port} refuses {self.config.client_id}: "
                    f"{code}; see username, password_file and client_id",
                )
            return
        log.info(
            "connected to %s:%d, session %s",
            *(self.config.host, self.config.port),
            "resumed" if flags.session_present else "new",
        )
        if self.config.version == "5":
            handling = 0 if self.config.takes_retained else NEVER_RETAINED
            options = SubscribeOptions(qos=QOS, retainHandling=handling)
            client.subscribe([(one, options) for one in self.config.filters])
        else:
            client.subscribe([(one, QOS) for one in self.config.filters])

    def _on_subscribe(
        self, client: Any, data: object, mid: int, codes: list[ReasonCode], properties: object
    ) -> None:
        refused = [
            f"{name}: {code}"
            for name, code in zip(self.config.filters, codes, strict=True)
            if code.is_failure or code.value < QOS
        ]
        if refused:
            message = f"no subscription at QoS {QOS} to {'; '.join(refused)}"
            if not self._was_subscribed:
                self._fatal = ConfigurationError("mqtt_refused", message)
            self._said = message
            client.disconnect()
            return
        self.is_subscribed = self._was_subscribed = True
        self.sessions += 1
        self.problem, self._pause = None, FIRST_PAUSE

    def _on_message(self, client: Any, data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = repr(bytes(message._topic))
        self.received.append(
            Received(
                topic=topic,
                payload=bytes(message.payload),
                qos=message.qos,
                message_id=message.mid,
                is_retained=message.retain,
                is_repeated=message.dup,
                connection=self.connections,
            )
        )

    def _on_disconnect(
        self, client: Any, data: object, flags: Any, code: ReasonCode, properties: object
    ) -> None:
        if code.is_failure and not self._said:
            self._said = f"disconnected: {code}"
        if self._is_open and self.is_subscribed:
            self._lost(str(code))


def _tls_context(tls: Tls) -> ssl.SSLContext:
    """Certificates are always checked, the host's name included."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.certificate_file is not None:
            context.load_cert_chain(tls.certificate_file, tls.key_file, tls.key_password)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError("mqtt_tls", f"the TLS files cannot be used: {error}") from error
    return context
