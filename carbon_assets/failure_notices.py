"""Word of failed runs, to a webhook and by mail.

Belongs here: where it is sent by the settings, the message, sending it once. Does not: which runs
failed, and when it is tried again (sensors.run_failures), what is kept (carbon_ledger.store).
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import dagster as dg

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import SETTINGS, Settings
from sensors.run_failures import KEY, NAME

if TYPE_CHECKING:
    from email.message import EmailMessage

    from carbon_ledger.store.run_failures import Channel, RunFailure

TIMEOUT_SECONDS: Final = 8.0
KEY_BYTES_MIN: Final = 16
SUBJECT_MAX: Final = 150
SHORTEST_SECRET: Final = 6
_PASSWORD_IN_URL = re.compile(r"(://[^\s:/@]*:)[^\s@]+@")
_NAMED_SECRET = re.compile(
    r"(?i)\b(password|passwd|pwd|secret|token|api[_-]?key|authorization)"
    r"(\s*[=:]\s*|\s+)('[^']*'|\"[^\"]*\"|(?:bearer\s+|basic\s+)?[^\s,;&)]+)"
)

RUN_FAILURES: Final = dg.AssetSpec(
    KEY,
    group_name="audit",
    kinds={"postgres"},
    owners=["team:data-platform"],
    description=f"Runs that failed. The sensor `{NAME}` writes each down once (`carbon failures`) "
    "and sends word of it where the settings say; an observation for each.",
)


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Where failures are posted, and the secret that the body is signed with."""

    url: str
    key: bytes


@dataclass(frozen=True, kw_only=True)
class Mail:
    """The mail server, who sends, and to whom."""

    host: str
    port: int
    is_tls: bool
    user: str
    password: str
    sender: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Where word of a failed run goes; nothing set: nowhere, it is recorded alone."""

    webhook: Webhook | None
    mail: Mail | None
    dagster_url: str

    @property
    def names(self) -> "list[Channel]":
        """Those that are set."""
        found: list[Channel] = []
        if self.webhook is not None:
            found.append("webhook")
        if self.mail is not None:
            found.append("smtp")
        return found


def channels_of(settings: Settings) -> Channels:
    """What the settings say; ConfigurationError `notice_setting` names the setting that is wrong
    and what would be valid."""
    return Channels(
        webhook=_webhook(settings),
        mail=_mail(settings),
        dagster_url=settings["CARBON_DAGSTER_URL"].rstrip("/"),
    )


def _wrong(name: str, what: str, valid: str) -> ConfigurationError:
    return ConfigurationError("notice_setting", f"{name} {what}; valid is {valid}")


def _webhook(settings: Settings) -> Webhook | None:
    url = settings.get("CARBON_NOTICE_WEBHOOK_URL")
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise _wrong(
            "CARBON_NOTICE_WEBHOOK_URL",
            "is no address that can be posted to",
            "https://host/path, without user and password",
        )
    key = _secret(settings, "CARBON_NOTICE_WEBHOOK_KEY_FILE").encode()
    if len(key) < KEY_BYTES_MIN:
        raise _wrong(
            "CARBON_NOTICE_WEBHOOK_KEY_FILE",
            f"has {len(key)} bytes",
            f"a file with a secret of at least {KEY_BYTES_MIN} bytes",
        )
    return Webhook(url=url, key=key)


def _mail(settings: Settings) -> Mail | None:
    url = settings.get("CARBON_NOTICE_SMTP_URL")
    if not url:
        return None
    valid = "smtp://host:port or smtps://user@host:port"
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
        parts = parts._replace(scheme="")
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.password:
        raise _wrong("CARBON_NOTICE_SMTP_URL", "is no mail server", valid)
    is_tls = parts.scheme == "smtps"
    if parts.username and not is_tls:
        raise _wrong("CARBON_NOTICE_SMTP_URL", "has a user and no TLS", "smtps:// with a user")
    recipients = [one.strip() for one in (settings.get("CARBON_NOTICE_MAIL_TO") or "").split(",")]
    sender = settings.get("CARBON_NOTICE_MAIL_FROM") or ""
    for name, addresses in (
        ("CARBON_NOTICE_MAIL_TO", recipients),
        ("CARBON_NOTICE_MAIL_FROM", [sender]),
    ):
        if not all(re.fullmatch(r"[^\s@<>,]+@[^\s@<>,]+", one) for one in addresses):
            raise _wrong(
                name, f"is {', '.join(addresses)[:60]!r}", "addresses such as a@example.org"
            )
    password = _secret(settings, "CARBON_NOTICE_SMTP_PASSWORD_FILE") if parts.username else ""
    return Mail(
        host=parts.hostname,
        port=port or (465 if is_tls else 25),
        is_tls=is_tls,
        user=unquote(parts.username or ""),
        password=password,
        sender=sender,
        recipients=tuple(recipients),
    )


def _secret(settings: Settings, name: str) -> str:
    path = settings.get(name)
    try:
        return Path(path or "").read_text(encoding="utf-8").strip() if path else ""
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(name, f"cannot be read ({type(error).__name__})", "a readable file") from None


def without_secrets(text: str, settings: Settings) -> str:
    """The text without the values of secret settings, passwords in addresses, and what is called a
    password, secret, token or key."""
    for setting in SETTINGS:
        value = settings.values.get(setting.name) if setting.secret else None
        if not value:
            continue
        found = {value, unquote(urlsplit(value).password or "")} if "://" in value else {value}
        for one in sorted(found, key=len, reverse=True):
            if len(one) >= SHORTEST_SECRET:
                text = text.replace(one, "***")
    text = _PASSWORD_IN_URL.sub(r"\1***@", text)
    return _NAMED_SECRET.sub(r"\1\2***", text)


def body_of(failure: "RunFailure", dagster_url: str) -> bytes:
    """The notice as JSON, keys in order."""
    told = {
        "type": "run_failed",
        "run_id": failure.run_id,
        "job": failure.job,
        "part": failure.part,
        "error": failure.error,
        "failed_at": failure.failed_at.isoformat(),
        "run_url": f"{dagster_url}/runs/{failure.run_id}",
    }
    return json.dumps(told, sort_keys=True, ensure_ascii=False).encode()


def post(
    failure: "RunFailure", webhook: Webhook, dagster_url: str, at: datetime
) -> tuple[bool, str]:
    """Posts a notice once: whether it was taken (2xx), and what was answered. No redirect is
    followed: the body goes where the setting says."""
    import httpx

    from api.client_signing import DELIVERY_HEADER, signed_headers

    body = body_of(failure, dagster_url)
    headers = {
        "Content-Type": "application/json",
        DELIVERY_HEADER: failure.run_id,
        **signed_headers(body, webhook.key, int(at.timestamp())),
    }
    try:
        answer = httpx.post(
            webhook.url,
            content=body,
            headers=headers,
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
        )
    except httpx.HTTPError as error:
        return False, type(error).__name__
    return answer.is_success, f"HTTP {answer.status_code}"


def message_of(failure: "RunFailure", mail: Mail, dagster_url: str) -> "EmailMessage":
    """The notice as a mail; one line as its subject, whatever the job is called."""
    from email.message import EmailMessage

    message = EmailMessage()
    subject = " ".join(f"Run failed: {failure.job} {failure.part}".split())
    message["Subject"] = subject[:SUBJECT_MAX]
    message["From"], message["To"] = mail.sender, ", ".join(mail.recipients)
    message["Message-ID"] = f"<{failure.run_id}@{mail.sender.rpartition('@')[2]}>"
    message.set_content(
        f"{failure.error}\n\nfailed at {failure.failed_at.isoformat()}\n"
        f"{dagster_url}/runs/{failure.run_id}\n"
    )
    return message


def send(failure: "RunFailure", mail: Mail, dagster_url: str) -> tuple[bool, str]:
    """Sends a notice once: whether the server took it for every recipient, and its answer."""
    import smtplib
    import ssl

    message = message_of(failure, mail, dagster_url)
    try:
        if mail.is_tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                mail.host, mail.port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(mail.host, mail.port, timeout=TIMEOUT_SECONDS)
        with server:
            if mail.user:
                server.login(mail.user, mail.password)
            refused = server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        return False, type(error).__name__
    return not refused, f"refused for {len(refused)}" if refused else "taken"


def deliver(
    failure: "RunFailure", channel: "Channel", channels: Channels, now: datetime
) -> tuple[bool, str]:
    """Tells one channel of a failure, once; whether it arrived, and what came of it."""
    if channel == "webhook" and channels.webhook is not None:
        return post(failure, channels.webhook, channels.dagster_url, now)
    if channel == "smtp" and channels.mail is not None:
        return send(failure, channels.mail, channels.dagster_url)
    return False, "not set"
