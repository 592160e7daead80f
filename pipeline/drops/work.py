"""Working dropped files off: from a supplier's folder to Kafka, and a receipt back.

Belongs here: the order of things for one file, and for all that are whole. Does not: SFTP
(pipeline.drops.server), which files are whole (pipeline.drops.arrivals), when this is done
(sensors.drops).

For each file: fetch, claim its content in PostgreSQL, keep its bytes, send what it says, wait for
Kafka, record the outcome, leave the receipt, put the file aside. Whoever dies in between loses
nothing: the next one does the same again, the events have the same ids, and the receipt is the one
that was recorded.

A file of the activity register (docs/activities.md) is known by its header. It is submitted as by
`carbon activities submit`, in the name of whoever left it, and awaits another person's approval:
nothing of it is sent before.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from carbon_ledger.durable import sync_folder
from carbon_ledger.errors import RejectedRecord, Unavailable
from carbon_ledger.failpoints import failpoint
from carbon_ledger.settings import Settings
from carbon_ledger.store import drops as store
from carbon_ledger.store.activities import Submission, refused_rows
from carbon_ledger.store.drops import FileClaim, Outcome, Sighting
from carbon_ledger.store.rows import Connection
from pipeline.activity_register import inventory_of, submit_file
from pipeline.drops import receipts
from pipeline.drops.arrivals import Arrivals, Listed, judge, looks_cut, safe_name
from pipeline.drops.declarations import check_columns, judged_rows
from pipeline.drops.receipts import FileFacts, Rejection
from pipeline.drops.server import PROCESSED, RECEIPTS, REFUSED, DropServer, Fetched
from pipeline.edge_letters import EdgeLetter, send_edge_letter
from pipeline.files.safe_tables import DEFAULT_LIMITS, FileRefused, Limits, read_table
from pipeline.producers import CarbonEventProducer

TOPIC: Final = "raw.supplier"
STREAM: Final = "supplier"
# A column of every template of the activity register, and of no declaration.
REGISTER_COLUMN: Final = "activity_id"
# Refused files are kept too; above this they stay where they are.
FETCH_BYTES_MAX: Final = 2 << 30
FILES_MAX: Final = 500
SECONDS_MAX: Final = 600.0
SERVER_FAULT: Final = "sftp_unavailable"
# More than these, and it is the server, not a folder.
FAILED_SUPPLIERS_MAX: Final = 3

# Keeps a file under a path of the archive, whole or not at all, never replacing one.
Keep = Callable[[str, Path], None]


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """All that working files off needs."""

    settings: Settings
    conn: Connection
    server: DropServer
    producer: CarbonEventProducer
    keep: Keep
    quarantine: Path
    quiet: timedelta
    cut_wait: timedelta
    limits: Limits = DEFAULT_LIMITS
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        conn: Connection,
        server: DropServer,
        producer: CarbonEventProducer,
        keep: Keep,
    ) -> Workshop:
        """The workshop that the settings describe."""
        return cls(
            settings=settings,
            conn=conn,
            server=server,
            producer=producer,
            keep=keep,
            quarantine=settings.quarantine_dir,
            quiet=settings.seconds("CARBON_DROP_QUIET_SECONDS"),
            cut_wait=settings.seconds("CARBON_DROP_CUT_SECONDS"),
        )


@dataclass(kw_only=True)
class Done:
    """What one go came to: files by fate, rows, files that are not whole yet."""

    read: int = 0
    duplicate: int = 0
    refused: int = 0
    known: int = 0
    waiting: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    left_for_later: int = 0
    receipts: list[str] = field(default_factory=list)
    # Of the activity register, by name.
    submissions: list[str] = field(default_factory=list)

    @property
    def files(self) -> int:
        """Files that got their receipt."""
        return self.read + self.duplicate + self.refused + self.known


def look(
    conn: Connection, server: DropServer, *, quiet: timedelta, cut_wait: timedelta, now: datetime
) -> Arrivals:
    """Lists the server, notes what is new, and says which files are whole."""
    known = {(one.supplier_id, one.name): one for one in store.sightings(conn)}
    found = judge(server.listing(), known, now=now, quiet=quiet, cut_wait=cut_wait)
    store.note_sightings(conn, found.changed)
    store.forget_sightings(conn, found.gone)
    return found


def work_off(
    shop: Workshop, *, files_max: int = FILES_MAX, seconds_max: float = SECONDS_MAX
) -> Done | None:
    """Works off every file that is whole, within bounds; None if somebody else is at it.

    Raises Unavailable where the server, Kafka, the archive or PostgreSQL is not there; files with
    a receipt keep it. A folder that the server does not let us work in keeps no other supplier
    waiting: it is told when the others are done.
    """
    if not store.take_lock(shop.conn):
        return None
    started = shop.clock()
    arrivals = look(shop.conn, shop.server, quiet=shop.quiet, cut_wait=shop.cut_wait, now=started)
    done = Done(waiting=arrivals.on_their_way)
    failed: dict[str, Unavailable] = {}
    for number, (listed, sighting) in enumerate(arrivals.whole):
        late = (shop.clock() - started).total_seconds() > seconds_max
        if number >= files_max or late:
            done.left_for_later = len(arrivals.whole) - number
            break
        if listed.supplier_id in failed:
            continue
        try:
            _work_off_one(shop, listed, sighting, done)
        except Unavailable as error:
            failed[listed.supplier_id] = error
            if error.code != SERVER_FAULT or len(failed) > FAILED_SUPPLIERS_MAX:
                raise
    for fault in failed.values():
        raise fault
    return done


def _work_off_one(shop: Workshop, listed: Listed, sighting: Sighting, done: Done) -> None:
    with tempfile.TemporaryDirectory(prefix="carbon-drop-") as folder:
        path = Path(folder) / "content"
        fetched, problem = _fetch(shop, listed, path)
        if fetched is None:
            done.waiting += 1
            return
        # Who renames a file says that it is whole, whatever its end looks like.
        if problem is None and not sighting.is_whole and looks_cut(path, listed.name):
            if shop.clock() - sighting.since < shop.cut_wait:
                # Noted, so that it is not fetched again until it changes or the wait is over.
                store.note_sightings(shop.conn, [replace(sighting, looks_cut=True)])
                done.waiting += 1
                return
            problem = _cut(listed)
        claim = _claim(shop, listed, fetched)
        facts = FileFacts(
            supplier_id=listed.supplier_id,
            name=listed.name,
            size_bytes=fetched.size_bytes,
            sha256=fetched.sha256,
            claimed_at=claim.claimed_at,
        )
        receipt = claim.receipt
        if receipt is not None:
            done.known += 1
        else:
            outcome = _duplicate(facts, claim, done) or _judge(shop, facts, path, problem, done)
            store.record_outcome(shop.conn, outcome)
            failpoint("drop_recorded")
            receipt = outcome.receipt
    _leave_receipt(shop, listed, facts, receipt)
    failpoint("drop_receipted")
    is_refused = json.loads(receipt)["result"] == "refused"
    if not shop.server.put_aside(listed, REFUSED if is_refused else PROCESSED, _label(facts)):
        # It stays where it is, and this version of it is not read again.
        store.note_handled(shop.conn, sighting)
    done.receipts.append(f"{listed.supplier_id}/{RECEIPTS}/{_label(facts)}.json")


def _fetch(
    shop: Workshop, listed: Listed, path: Path
) -> tuple[Fetched | None, RejectedRecord | None]:
    """The file's bytes in `path`; for what has no bytes of its own, what is known of it instead."""
    if listed.is_plain:
        try:
            return shop.server.fetch(listed, path, FETCH_BYTES_MAX), None
        except RejectedRecord as problem:
            told = b"%b: %d bytes, time %d; not fetched\n" % (
                listed.raw_name,
                listed.size_bytes,
                listed.mtime,
            )
            return _told(path, told), problem
    target = shop.server.link_text(listed)
    told = b"symbolic link %b to %b, time %d\n" % (listed.raw_name, target, listed.mtime)
    return _told(path, told), FileRefused(
        "symbolic_link",
        "this is a link to another file; it was not followed",
        value=ascii(target),
        valid="the file itself",
    )


def _told(path: Path, content: bytes) -> Fetched:
    path.write_bytes(content)
    return Fetched(size_bytes=len(content), sha256=hashlib.sha256(content).digest())


def _cut(listed: Listed) -> FileRefused:
    return FileRefused(
        "file_cut",
        "the file ends in the middle, and no more of it has come",
        value=f"{listed.size_bytes} bytes",
        valid="the whole file; a CSV file ends with a line end",
    )


def _claim(shop: Workshop, listed: Listed, fetched: Fetched) -> FileClaim:
    claim = store.claim_file(
        shop.conn,
        supplier_id=listed.supplier_id,
        sha256=fetched.sha256,
        name=listed.name,
        size_bytes=fetched.size_bytes,
        mtime=listed.mtime,
        now=shop.clock(),
    )
    failpoint("drop_claimed")
    return claim


def _duplicate(facts: FileFacts, claim: FileClaim, done: Done) -> Outcome | None:
    """The outcome of bytes that count already under another name; None if they do not."""
    if claim.counted_as is None or claim.counted_at is None:
        return None
    done.duplicate += 1
    return Outcome(
        supplier_id=facts.supplier_id,
        sha256=facts.sha256,
        name=facts.name,
        fate="duplicate",
        receipt=receipts.duplicate_receipt(
            facts, counted_as=claim.counted_as, counted_at=claim.counted_at
        ),
    )


def _judge(
    shop: Workshop, facts: FileFacts, path: Path, problem: RejectedRecord | None, done: Done
) -> Outcome:
    if problem is None:
        try:
            return _read(shop, facts, path, done)
        except FileRefused as refusal:
            problem = refusal
    done.refused += 1
    return _refuse(shop, facts, path, problem)


def _read(shop: Workshop, facts: FileFacts, path: Path, done: Done) -> Outcome:
    with read_table(path, name=facts.name, limits=shop.limits) as table:
        kept_at = f"supplier_drops/{facts.supplier_id}/{facts.sha256.hex()}.{table.format}"
        if REGISTER_COLUMN in table.columns:
            return _submit(shop, facts, path, kept_at, done)
        check_columns(table.columns)
        shop.keep(kept_at, path)
        accepted, rejections, rejected = 0, [], 0
        for judged in judged_rows(table, facts.supplier_id, shop.clock()):
            if judged.event is not None:
                shop.producer.send(TOPIC, value=judged.event)
                accepted += 1
            elif judged.problem is not None:
                rejected += 1
                line = judged.row.line
                if rejected <= receipts.REJECTIONS_MAX:
                    rejections.append(Rejection.of(judged.problem, line))
                payload = json.dumps(dict(judged.row.cells), sort_keys=True).encode()
                _send_letter(shop, facts, judged.problem, f"line {line}", payload)
    shop.producer.flush()
    done.read += 1
    done.rows_accepted += accepted
    done.rows_rejected += rejected
    return Outcome(
        supplier_id=facts.supplier_id,
        sha256=facts.sha256,
        name=facts.name,
        fate="read",
        rows_accepted=accepted,
        rows_rejected=rejected,
        kept_at=kept_at,
        receipt=receipts.read_receipt(
            facts, accepted=accepted, rejected=rejected, rejections=rejections
        ),
    )


def _submit(shop: Workshop, facts: FileFacts, path: Path, kept_at: str, done: Done) -> Outcome:
    """The outcome of a file of the activity register; FileRefused if it is none after all."""
    inventory = inventory_of(shop.conn, shop.settings, shop.clock())
    try:
        found = submit_file(
            shop.conn,
            inventory,
            name=facts.name,
            content=path.read_bytes(),
            by=facts.supplier_id,
            default_organization=shop.settings["CARBON_DEFAULT_ORGANIZATION"],
        )
    except FileRefused:
        raise
    except RejectedRecord as problem:
        raise FileRefused(
            problem.code,
            problem.message,
            field=problem.field,
            value=problem.value,
            valid=problem.valid,
        ) from problem
    shop.keep(kept_at, path)
    done.read += 1
    done.rows_accepted += found.rows_accepted
    done.rows_rejected += found.rows_refused
    done.submissions.append(found.name)
    return Outcome(
        supplier_id=facts.supplier_id,
        sha256=facts.sha256,
        name=facts.name,
        fate="read",
        rows_accepted=found.rows_accepted,
        rows_rejected=found.rows_refused,
        kept_at=kept_at,
        receipt=receipts.submitted_receipt(
            facts, submission=found, rejections=_refusals(shop.conn, found)
        ),
    )


def _refusals(conn: Connection, found: Submission) -> list[Rejection]:
    rows = refused_rows(conn, found.submission_id)[: receipts.REJECTIONS_MAX]
    return [Rejection.of(one.problem, one.line) for one in rows]


def _refuse(shop: Workshop, facts: FileFacts, path: Path, problem: RejectedRecord) -> Outcome:
    kept_at = _quarantine(shop.quarantine, facts, path)
    told = {"kept_at": str(kept_at), "sha256": facts.sha256.hex(), "size_bytes": facts.size_bytes}
    payload = json.dumps(told, sort_keys=True).encode()
    _send_letter(shop, facts, problem, "the file as a whole", payload)
    shop.producer.flush()
    line = problem.line if isinstance(problem, FileRefused) else None
    return Outcome(
        supplier_id=facts.supplier_id,
        sha256=facts.sha256,
        name=facts.name,
        fate="refused",
        reason_code=problem.code,
        reason=ascii(problem.message)[1:-1],
        kept_at=str(kept_at),
        receipt=receipts.refused_receipt(facts, Rejection.of(problem, line)),
    )


def _send_letter(
    shop: Workshop, facts: FileFacts, problem: RejectedRecord, place: str, payload: bytes
) -> None:
    letter = EdgeLetter.of(
        problem,
        source=f"sftp:{facts.supplier_id}",
        coordinates=f"{facts.sha256.hex()} {place}",
        payload=payload,
        stream=STREAM,
        content_type="application/json",
    )
    send_edge_letter(shop.producer, letter)


def _quarantine(folder: Path, facts: FileFacts, path: Path) -> Path:
    """Keeps the bytes under their hash, readable by us alone and by nothing that runs them."""
    place = folder / facts.supplier_id
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = place / f"{facts.sha256.hex()}.bin"
    if not target.exists():
        passing = place / f".{target.name}.part"
        passing.unlink(missing_ok=True)
        with path.open("rb") as source, passing.open("xb") as sink:
            passing.chmod(0o400)
            while block := source.read(1 << 20):
                sink.write(block)
            sink.flush()
            os.fsync(sink.fileno())
        passing.replace(target)
        sync_folder(place)
    return target


def _label(facts: FileFacts) -> str:
    return f"{safe_name(facts.name)}.{facts.sha256.hex()[:12]}"


def _leave_receipt(shop: Workshop, listed: Listed, facts: FileFacts, receipt: str) -> None:
    label = _label(facts)
    for ending, text in (("json", receipt), ("txt", receipts.as_text(receipt))):
        shop.server.leave(listed.supplier_id, RECEIPTS, f"{label}.{ending}", text.encode())
