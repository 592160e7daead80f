"""Signed heads on their way out of the database: files, Kafka, a witness.

Belongs here: what each place gets and answers, and the order of sending and noting. Does not:
making heads (carbon_ledger.store.seals), the witness itself (devstack.witness).

At least once: that a place has a head is noted after it said so, so a crash in between sends the
head again. Every place takes the same head twice, and none takes another one in its stead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from carbon_ledger import merkle, signing_keys
from carbon_ledger.durable import sync_folder
from carbon_ledger.errors import (
    BrokenInvariant,
    CarbonError,
    ConfigurationError,
    RejectedRecord,
    Unavailable,
)
from carbon_ledger.failpoints import failpoint
from carbon_ledger.notes import (
    Checkpoint,
    Signer,
    VerifierKey,
    parse_checkpoint,
    parse_note,
    parse_signatures,
    verify_cosignature,
)
from carbon_ledger.settings import Settings
from carbon_ledger.store.heads import (
    Head,
    Place,
    find_head,
    is_cosignature,
    latest_head,
    latest_published,
    note_publication,
    unpublished,
)
from carbon_ledger.store.restores import Restore, current_origin, declare, is_given_up
from carbon_ledger.store.seals import Sealed, seal_pending
from carbon_ledger.store.tree import read_pieces

if TYPE_CHECKING:
    from carbon_ledger.store.rows import Connection

TOPIC: Final = "audit.ledger.heads"
# Heads that one call sends to one place; the rest is for the next call.
HEADS_MAX: Final = 200
WITNESS_SECONDS: Final = 10.0
DELIVERY_SECONDS: Final = 30.0
LATEST: Final = "latest"
PUBLIC_KEY: Final = "ledger-public-key.pem"
FILE_MODE: Final = 0o444


@dataclass(frozen=True, kw_only=True)
class Published:
    """That `place` now has the head of `tree_size` leaves, and what it answered."""

    place: Place
    tree_size: int
    receipt: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one call sealed and published; `head` is the latest one, if any."""

    sealed: Sequence[Sealed]
    head: Head | None
    published: Sequence[Published]
    unavailable: str | None = None


def make_signer(settings: Settings, origin: str) -> Signer:
    """The ledger's signer, under the name `origin`. Its key is made at the first call, its public
    half is written beside it and beside the heads.
    """
    path = settings.signing_key_file
    key = signing_keys.load_or_make(path)
    pem = signing_keys.public_pem(key.public_key())
    for public in (path.with_suffix(".pub.pem"), settings.heads_folder / PUBLIC_KEY):
        if not public.exists():
            public.parent.mkdir(parents=True, exist_ok=True)
            _write_once(public, pem)
    return Signer(name=origin, private_key=key)


def folder_of(settings: Settings, origin: str) -> Path:
    """Where heads of that name are filed: those since a declared restore in a folder of their
    own.
    """
    folder = settings.heads_folder
    first = settings["CARBON_LEDGER_ORIGIN"]
    return folder if origin == first else folder / origin.rpartition("/")[2]


def places(settings: Settings) -> tuple[Place, ...]:
    """Where heads go: files and Kafka always, a witness if there is one."""
    return ("file", "kafka", "witness") if settings.get("CARBON_WITNESS_URL") else ("file", "kafka")


def seal_and_publish(conn: Connection, settings: Settings) -> Outcome:
    """Seals what is ready, then sends every head that a place lacks; `conn` is the sealer's, in
    autocommit.

    Raises BrokenInvariant `heads_ahead`, before anything is sealed, if a head that was published is
    not in the database; otherwise what sealing and publishing raise, but for a place that does not
    answer: that is told in the outcome, and the next call tries again.
    """
    origin = current_origin(conn, settings["CARBON_LEDGER_ORIGIN"])
    signer = make_signer(settings, origin)
    refuse_rollback(conn, settings)
    sealed = seal_pending(conn, signer, origin)
    if sealed:
        failpoint("head_committed")
    published: list[Published] = []
    unavailable = None
    try:
        publish(conn, settings, published)
    except Unavailable as error:
        unavailable = error.message
    return Outcome(
        sealed=sealed, head=latest_head(conn), published=published, unavailable=unavailable
    )


def refuse_rollback(conn: Connection, settings: Settings) -> None:
    """BrokenInvariant `heads_ahead` if the latest head among the files is not in the database: it
    was set back to an earlier state, and going on would be another history.
    """
    ahead = head_ahead(conn, settings)
    if ahead is not None:
        last = latest_head(conn)
        raise BrokenInvariant(
            "heads_ahead",
            f"a head of {ahead.checkpoint.tree_size} leaves was published ({ahead.path}), and the"
            f" database does not have it; its last one is of {last.tree_size if last else 0}. It"
            " was set back, or is another ledger's. Nothing is sealed: restore a later state, or"
            " say that it was put back with `carbon heads declare-restore` (docs/backup.md)",
        )


@dataclass(frozen=True, kw_only=True)
class HeadAhead:
    """A published head that the database does not have, and its file."""

    checkpoint: Checkpoint
    note: str
    path: Path


def head_ahead(conn: Connection, settings: Settings) -> HeadAhead | None:
    """The latest head among the files of the current name, if the database does not have it."""
    origin = current_origin(conn, settings["CARBON_LEDGER_ORIGIN"])
    path = folder_of(settings, origin) / LATEST
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        filed = latest_published(conn, "file", origin)
        if filed is None:
            return None
        raise BrokenInvariant(
            "heads_missing",
            f"the head of {filed} leaves was filed in {path.parent}, and no head is there: whether"
            " the database was set back cannot be told. Nothing is sealed: copy the heads back"
            " from where they are kept (docs/backup.md)",
        ) from None
    try:
        outside = parse_checkpoint(parse_note(text).text)
    except RejectedRecord as error:
        raise BrokenInvariant("head_conflict", f"{path} is no head: {error.message}") from error
    if outside.origin != origin:
        return None
    found = find_head(conn, outside.tree_size)
    if found is not None and (found.origin, found.root) == (origin, outside.root):
        return None
    return HeadAhead(checkpoint=outside, note=text, path=path)


def declare_restore(conn: Connection, settings: Settings, by: str, reason: str) -> Restore:
    """Says that the database was put back to before the latest published head; heads have another
    name from here on. `conn` is the sealer's.

    Raises RejectedRecord `no_head_ahead` if the database has every head that was published, and
    `restore_unexplained` where nobody or no reason is named.
    """
    ahead = head_ahead(conn, settings)
    last = latest_head(conn)
    size = last.tree_size if last else 0
    if ahead is None or ahead.checkpoint.tree_size <= size:
        raise RejectedRecord(
            "no_head_ahead",
            f"no head beyond the database's last one, of {size} leaves, was published; there is"
            " nothing to declare",
            field="tree_size",
            value=size,
            valid="a database that lacks a head which was published",
        )
    return declare(
        conn,
        previous_origin=ahead.checkpoint.origin,
        first_origin=settings["CARBON_LEDGER_ORIGIN"],
        tree_size=size,
        seen_size=ahead.checkpoint.tree_size,
        seen_note=ahead.note,
        by=by,
        reason=reason,
    )


def publish(conn: Connection, settings: Settings, published: list[Published]) -> None:
    """Every place has every head, or an error says which place has not and why; `published` gets
    what was sent.

    A place that fails does not keep the others from getting theirs; its error is raised at the
    end: Unavailable to be tried again, BrokenInvariant `head_conflict` where a place has another
    head of that size, `witness_ahead` or `witness_refused` where the witness knows another history.
    """
    senders: dict[Place, Callable[[Connection, Settings, Sequence[Head]], Iterator[Published]]] = {
        "file": _to_files,
        "kafka": _to_kafka,
        "witness": _to_witness,
    }
    errors: list[CarbonError] = []
    for place in places(settings):
        heads = unpublished(conn, place, HEADS_MAX)
        if not heads:
            continue
        try:
            for one in senders[place](conn, settings, heads):
                published.append(one)
        except CarbonError as error:
            errors.append(error)
    if errors:
        # What is broken is told before what is merely away.
        raise next((one for one in errors if not isinstance(one, Unavailable)), errors[0])


def _noted(conn: Connection, place: Place, head: Head, receipt: str) -> Published:
    note_publication(conn, head.tree_size, place, receipt)
    return Published(place=place, tree_size=head.tree_size, receipt=receipt)


# --- files --------------------------------------------------------------------------------------


def _to_files(conn: Connection, settings: Settings, heads: Sequence[Head]) -> Iterator[Published]:
    for head in heads:
        folder = folder_of(settings, head.origin)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{head.tree_size}.note"
        try:
            _write_once(path, head.note)
            if _size_of(folder / LATEST) < head.tree_size:
                _replace(folder / LATEST, head.note)
        except OSError as error:
            raise Unavailable(
                "heads_folder", f"the head of {head.tree_size} leaves cannot be filed: {error}"
            ) from error
        failpoint("head_filed")
        yield _noted(conn, "file", head, path.name)


def _size_of(path: Path) -> int:
    """The size of the tree of the head in a file; 0 if there is none."""
    try:
        return parse_checkpoint(parse_note(path.read_text(encoding="utf-8")).text).tree_size
    except (FileNotFoundError, RejectedRecord):
        return 0


def _write_once(path: Path, text: str) -> None:
    """The file holds `text`, whole and for good; BrokenInvariant if it holds something else."""
    part = _written(path, text)
    try:
        os.link(part, path)
    except FileExistsError:
        if path.read_text(encoding="utf-8") != text:
            raise BrokenInvariant(
                "head_conflict", f"{path} is there and says something else than is to be published"
            ) from None
    finally:
        part.unlink()
    sync_folder(path.parent)


def _replace(path: Path, text: str) -> None:
    _written(path, text).replace(path)
    sync_folder(path.parent)


def _written(path: Path, text: str) -> Path:
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with suppress(FileNotFoundError):
        part.unlink()
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    return part


# --- Kafka --------------------------------------------------------------------------------------


def _to_kafka(conn: Connection, settings: Settings, heads: Sequence[Head]) -> Iterator[Published]:
    from pipeline.producers import CarbonEventProducer

    with CarbonEventProducer(settings=settings, delivery_seconds=DELIVERY_SECONDS) as producer:
        for head in heads:
            producer.send_bytes(TOPIC, head.origin.encode(), head.note.encode(), [])
        producer.flush()
    failpoint("head_sent")
    for head in heads:
        yield _noted(conn, "kafka", head, TOPIC)


# --- the witness --------------------------------------------------------------------------------


def _to_witness(conn: Connection, settings: Settings, heads: Sequence[Head]) -> Iterator[Published]:
    old, origin = 0, ""
    for head in heads:
        if head.origin != origin:
            origin = head.origin
            old = latest_published(conn, "witness", origin) or 0
        receipt = _ask_witness(conn, settings, head, old)
        if is_cosignature(receipt):
            cosigned = folder_of(settings, origin) / f"{head.tree_size}.cosigned.note"
            cosigned.parent.mkdir(parents=True, exist_ok=True)
            _replace(cosigned, f"{head.note}{receipt}")
        yield _noted(conn, "witness", head, receipt)
        old = head.tree_size


def _ask_witness(conn: Connection, settings: Settings, head: Head, old: int) -> str:
    """The witness's cosignature line; or, where it has a later head of ours, which."""
    answer = _offer(conn, settings, head, old)
    if answer.status == 409 and answer.text.strip().isdigit():
        # It has another one than we remember: a crash came between its answer and our note.
        has = int(answer.text)
        if has == old:
            raise BrokenInvariant(
                "witness_refused",
                f"the witness has cosigned another tree of {head.tree_size} leaves",
            )
        if has > head.tree_size:
            if is_given_up(conn, head.origin, has):
                return f"has a head of {has} leaves, of a state that was given up"
            if find_head(conn, has) is None:
                raise BrokenInvariant(
                    "witness_ahead",
                    f"the witness has cosigned a tree of {has} leaves, of which the ledger has no"
                    " head: it was set back to an earlier state",
                )
            return f"has the later head of {has} leaves"
        answer = _offer(conn, settings, head, has)
    if answer.status != 200:
        raise _refusal(answer, head)
    _check_cosignature(settings, head, answer.text)
    return answer.text


def _offer(conn: Connection, settings: Settings, head: Head, old: int) -> Answer:
    ranges = merkle.consistency_ranges(old, head.tree_size)
    path = merkle.read_proof(ranges, partial(read_pieces, conn))
    return add_checkpoint(settings["CARBON_WITNESS_URL"], old, path, head.note)


def _refusal(answer: Answer, head: Head) -> CarbonError:
    said = f"the witness answers {answer.status} to the head of {head.tree_size} leaves"
    text = answer.text.strip()[:200]
    if answer.status in (403, 404):
        return ConfigurationError(
            "witness_unknown", f"{said} ({text}): it does not know this ledger's origin and key"
        )
    if answer.status in (400, 409, 422):
        return BrokenInvariant("witness_refused", f"{said}: {text}")
    return Unavailable("witness_unavailable", f"{said}: {text}")


def _check_cosignature(settings: Settings, head: Head, lines: str) -> None:
    text = settings.get("CARBON_WITNESS_KEY")
    if text is None:
        return
    try:
        verify_cosignature(
            parse_note(head.note).text, parse_signatures(lines), VerifierKey.parse(text)
        )
    except RejectedRecord as error:
        raise BrokenInvariant(
            "witness_unsigned", f"the witness's answer is no cosignature of its: {error.message}"
        ) from error


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A witness's answer: HTTP status and text."""

    status: int
    text: str


def add_checkpoint(url: str, old: int, path: Sequence[bytes], note: str) -> Answer:
    """POST /add-checkpoint of C2SP tlog-witness. Raises Unavailable if nobody answers."""
    import base64

    import httpx

    steps = "".join(f"{base64.b64encode(step).decode()}\n" for step in path)
    body = f"old {old}\n{steps}\n{note}".encode()
    try:
        answer = httpx.post(
            f"{url.rstrip('/')}/add-checkpoint", content=body, timeout=WITNESS_SECONDS
        )
    except httpx.HTTPError as error:
        raise Unavailable(
            "witness_unavailable", f"the witness at {url} does not answer ({error})"
        ) from error
    return Answer(status=answer.status_code, text=answer.text)
