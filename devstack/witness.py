"""The witness of the embedded stack: which key it has, which log it knows.

Belongs here: its command, folder and probe, and the ledger's key that it is told. Does not: what it
answers (devstack.witness_process).
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection

from carbon_ledger import signing_keys
from carbon_ledger.notes import Signer, VerifierKey
from carbon_ledger.settings import Settings
from devstack.layout import Layout
from devstack.service import PROBE_SECONDS, Service
from devstack.witness_process import signer_of


def witness_values(layout: Layout) -> dict[str, str]:
    """Where the witness is and with what its cosignatures are checked; its key is made if there
    is none yet.
    """
    key = signer_of(layout.home / Witness.name).key.of_cosignatures()
    return {
        "CARBON_WITNESS_URL": f"http://127.0.0.1:{layout.port(Witness.name)}",
        "CARBON_WITNESS_KEY": str(key),
    }


def ledger_key(settings: Settings) -> VerifierKey:
    """The key that the ledger signs heads with; made if there is none yet."""
    key = signing_keys.load_or_make(settings.signing_key_file)
    return Signer(name=settings["CARBON_LEDGER_ORIGIN"], private_key=key).key


class Witness(Service):
    """One small process on the loopback interface."""

    name = "witness"

    def __init__(self, layout: Layout, settings: Settings) -> None:
        self.layout, self.settings = layout, settings
        self.port = layout.port(self.name)
        self.folder = layout.home / self.name

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "devstack.witness_process"),
            *(str(self.folder), str(self.port), "--log", str(ledger_key(self.settings))),
        ]

    def probe(self) -> str | None:
        # Its key, so that this says that it is ours and can sign.
        wanted = witness_values(self.layout)["CARBON_WITNESS_KEY"]
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PROBE_SECONDS)
        try:
            connection.request("GET", "/")
            said = connection.getresponse().read(1000).decode(errors="replace").strip()
        except OSError as error:
            return f"127.0.0.1:{self.port} does not answer ({error})"
        finally:
            connection.close()
        return None if said == wanted else f"127.0.0.1:{self.port} has the key {said[:100]}"
