"""The witness as a process: `python -m devstack.witness_process FOLDER PORT --log VERIFIER_KEY`.

Belongs here: an HTTP server of C2SP tlog-witness on the loopback interface, its key, and the last
head of each log it knows. Does not: anything of the ledger. Its folder and key are its own; on one
machine that shows how a witness works, and is no second party.

POST /add-checkpoint: `old SIZE`, a consistency proof (base64, one hash a line), an empty line, the
signed checkpoint. 200 cosignature; 400 malformed; 403 not signed with the log's key; 404 unknown
origin; 409 SIZE is not the last one, or another root was cosigned at this size (the body is the
last size); 422 the proof does not hold.
GET /ORIGIN: the last cosigned checkpoint. GET /: the witness's verifier key.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import fcntl
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from carbon_ledger import merkle, signing_keys
from carbon_ledger.durable import sync_folder
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.notes import (
    Checkpoint,
    Note,
    Signer,
    VerifierKey,
    parse_checkpoint,
    parse_note,
    verify_note,
)

BODY_BYTES_MAX = 64 * 1024
PROOF_HASHES_MAX = 63
NAME = "carbon-witness"
KEY_FILE = "witness.pem"
SIZE_TYPE = "text/x.tlog.size"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int
    text: str
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked to be cosigned."""

    old: int
    path: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint


def signer_of(folder: Path) -> Signer:
    """The witness's signer; its key is made at the first call."""
    return Signer(name=NAME, private_key=signing_keys.load_or_make(folder / KEY_FILE))


def parse_request(body: bytes) -> Request:
    """The request in `body`; RejectedRecord for anything malformed."""
    wrong = RejectedRecord("malformed", "no add-checkpoint request")
    try:
        head, gap, note_text = body.decode().partition("\n\n")
    except UnicodeDecodeError:
        raise wrong from None
    first, *steps = head.split("\n")
    found = re.fullmatch(r"old (0|[1-9][0-9]{0,18})", first)
    if not gap or found is None or len(steps) > PROOF_HASHES_MAX:
        raise wrong
    try:
        path = tuple(base64.b64decode(step, validate=True) for step in steps)
    except (binascii.Error, ValueError):
        raise wrong from None
    note = parse_note(note_text)
    return Request(old=int(found[1]), path=path, note=note, checkpoint=parse_checkpoint(note.text))


@dataclass(kw_only=True)
class Witness:
    """Cosigns a log's head only if it is consistent with the last one it cosigned of that log."""

    folder: Path
    signer: Signer
    logs: Mapping[str, VerifierKey]
    clock: Callable[[], float] = time.time
    lock: threading.Lock = field(default_factory=threading.Lock)

    def key_of(self, origin: str) -> VerifierKey | None:
        """The key of a log: one it was told of, or one that goes on after a declared restore
        (`ORIGIN/restore-1`) with the same key, which is a log of its own here.
        """
        first, _, restore = origin.rpartition("/restore-")
        known = self.logs.get(origin) or (self.logs.get(first) if restore.isdigit() else None)
        return None if known is None else VerifierKey(name=origin, public_key=known.public_key)

    def state_file(self, origin: str) -> Path:
        """Where the last cosigned head of `origin` is kept."""
        return self.folder / "state" / f"{hashlib.sha256(origin.encode()).hexdigest()}.note"

    def last(self, origin: str) -> tuple[Checkpoint | None, str]:
        """The last cosigned checkpoint of the log and its note; none before the first."""
        try:
            text = self.state_file(origin).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None, ""
        return parse_checkpoint(parse_note(text).text), text

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other thread, and no other process on the same folder, checks or persists."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.lock, (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def add_checkpoint(self, body: bytes) -> Answer:
        """The answer to POST /add-checkpoint. A head is on disk before its cosignature is given."""
        try:
            request = parse_request(body)
        except RejectedRecord as error:
            return Answer(status=400, text=f"{error.message}\n")
        asked = request.checkpoint
        key = self.key_of(asked.origin)
        if key is None:
            return Answer(status=404, text="unknown origin\n")
        try:
            verify_note(request.note, key)
        except RejectedRecord:
            return Answer(status=403, text="not signed with the key of this log\n")
        if request.old > asked.tree_size:
            return Answer(status=400, text="the old size is larger than the new one\n")
        with self.alone():
            return self.check_and_persist(request)

    def check_and_persist(self, request: Request) -> Answer:
        """What `add_checkpoint` does while nobody else does."""
        asked = request.checkpoint
        known, _ = self.last(asked.origin)
        size = known.tree_size if known else 0
        root = known.root if known else merkle.EMPTY_ROOT
        if request.old != size or (asked.tree_size == size and asked.root != root):
            return Answer(status=409, text=f"{size}\n", content_type=SIZE_TYPE)
        if not merkle.verify_consistency(size, asked.tree_size, root, asked.root, request.path):
            return Answer(status=422, text="the consistency proof does not hold\n")
        line = self.signer.cosign(request.note.text, int(self.clock())).line
        self.persist(asked.origin, f"{request.note}{line}")
        return Answer(status=200, text=line)

    def persist(self, origin: str, note: str) -> None:
        """Replaces the last head of `origin`, whole or not at all."""
        path = self.state_file(origin)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("w", encoding="utf-8") as stream:
            stream.write(note)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        sync_folder(path.parent)

    def get(self, path: str) -> Answer:
        """The answer to a GET."""
        origin = unquote(path.removeprefix("/"))
        if not origin:
            return Answer(status=200, text=f"{self.signer.key.of_cosignatures()}\n")
        _, note = self.last(origin)
        return Answer(status=200, text=note) if note else Answer(status=404, text="unknown\n")


def handler_of(witness: Witness) -> type[BaseHTTPRequestHandler]:
    """The server's handler of requests."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            """GET."""
            self.answer(witness.get(self.path))

        def do_POST(self) -> None:
            """POST."""
            length = self.headers.get("Content-Length", "")
            if self.path != "/add-checkpoint":
                self.close_connection = True
                self.answer(Answer(status=404, text="unknown\n"))
            elif not length.isdigit() or int(length) > BODY_BYTES_MAX:
                self.close_connection = True
                self.answer(Answer(status=400, text=f"at most {BODY_BYTES_MAX} bytes\n"))
            else:
                self.answer(witness.add_checkpoint(self.rfile.read(int(length))))

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Says what was asked, but for questions whether it is there."""
            if self.command != "GET":
                super().log_request(code, size)

        def answer(self, answer: Answer) -> None:
            """Sends it."""
            body = answer.text.encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def main(arguments: list[str] | None = None) -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(prog="witness", description="A witness of signed heads.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--log", action="append", default=[], metavar="VERIFIER_KEY")
    options = parser.parse_args(arguments)
    keys = [VerifierKey.parse(text) for text in options.log]
    witness = Witness(
        folder=options.folder,
        signer=signer_of(options.folder),
        logs={key.name: key for key in keys},
    )
    ThreadingHTTPServer(("127.0.0.1", options.port), handler_of(witness)).serve_forever()


if __name__ == "__main__":
    main()
