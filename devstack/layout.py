"""Where the embedded stack keeps things: folders, ports, passwords.

Belongs here: every path under CARBON_HOME and every port, each named once. Does not: starting
anything.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.settings import PROJECT_ROOT, Settings

# Default ports; CARBON_PORT_OFFSET is added to each. All of them plus 10000 stay below 32768, where
# Linux hands out ports to outgoing connections, and no two but Dagster's and the API's end in the
# same three digits: stacks whose offsets differ by thousands other than 5000 never meet. Broker and
# controller alternate from 9092 on.
KAFKA_PORT = 9092
DEFAULT_PORTS = {
    "registry": 8081,
    "registry-management": 8082,
    "postgres": 5433,  # not 5432, where a machine's own PostgreSQL would be
    "spark": 15002,
    "dagster": 3000,
    "code-server": 3001,
    "dagster-audit": 3003,
    "witness": 8085,
    "mqtt": 1883,
    "sftp": 2222,
    "connect": 8083,
    "api": 8000,
}
ROLES = ("postgres", "carbon_migrator", "carbon_writer", "carbon_reader", "dagster", "registry")
# A stack made before there were these has no passwords of theirs yet.
LATER_ROLES = (
    *("carbon_sealer", "carbon_verifier", "carbon_auditor", "carbon_vault"),
    "carbon_gate",
    *("erp_owner", "erp_cdc"),
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Paths and ports of one stack, from its settings."""

    home: Path
    cache: Path
    offset: int
    backup_dir: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Layout:
        """The layout of the stack that `settings` describe; ConfigurationError on an impossible
        offset.
        """
        try:
            offset = settings.port_offset
        except ValueError:
            offset = -1
        if not 0 <= offset <= 50_000:
            raise ConfigurationError(
                "port_offset",
                f"CARBON_PORT_OFFSET is {settings['CARBON_PORT_OFFSET']}; "
                "valid is 0 to 50000, for example 10000",
            )
        given = settings.get("CARBON_BACKUP_DIR")
        return cls(
            home=settings.home.resolve(),
            cache=settings.cache,
            offset=offset,
            backup_dir=Path(given).resolve() if given else None,
        )

    def port(self, name: str) -> int:
        """Port of a service with one port, by its name in DEFAULT_PORTS."""
        return DEFAULT_PORTS[name] + self.offset

    def broker_port(self, number: int) -> int:
        """Client port of broker `number` (1, 2, 3)."""
        return KAFKA_PORT + 2 * (number - 1) + self.offset

    def controller_port(self, number: int) -> int:
        """Controller port of broker `number`."""
        return self.broker_port(number) + 1

    @property
    def logs(self) -> Path:
        """One log file per service."""
        return self.home / "logs"

    @property
    def backups(self) -> Path:
        """Base backups and WAL of PostgreSQL."""
        return self.backup_dir or self.home / "backup"

    @property
    def state_file(self) -> Path:
        """What the supervisor says about its services."""
        return self.home / "state.json"

    @property
    def env_file(self) -> Path:
        """Addresses and passwords for everybody else; mode 0600."""
        return self.home / "stack.env"

    @property
    def initialised_file(self) -> Path:
        """Exists once schema, topics and Avro schemas are in place for this run of the stack."""
        return self.home / "initialised"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.home / "supervisor.lock"

    @property
    def brokers_file(self) -> Path:
        """The number of brokers, written at the first start."""
        return self.home / "kafka" / "brokers"

    def fixed_brokers(self) -> int | None:
        """The number of brokers this stack was first started with, or None before that."""
        try:
            return int(self.brokers_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def scratch(self, name: str) -> Path:
        """A folder for a service's temporary files, made if need be."""
        folder = self.home / "tmp" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def passwords(self) -> dict[str, str]:
        """Role name to password; drawn at random at the first call, kept in a 0600 file."""
        path = self.home / "secrets.json"
        if not path.exists():
            drawn = {role: secrets.token_urlsafe(24) for role in (*ROLES, *LATER_ROLES)}
            write_private(path, json.dumps(drawn, indent=1))
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        missing = [role for role in ROLES if role not in found]
        if missing:
            raise BrokenInvariant(
                "secrets_file",
                f"{path} has no password for {', '.join(missing)}; it was edited or cut",
            )
        later = {role: secrets.token_urlsafe(24) for role in LATER_ROLES if role not in found}
        if later:
            found.update(later)
            write_private(path, json.dumps(found, indent=1))
        return found

    def database_url(self, role: str, database: str) -> str:
        """libpq URL of `role` in `database` of the embedded PostgreSQL."""
        password = self.passwords()[role]
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port('postgres')}/{database}"


def write_private(path: Path, text: str) -> None:
    """Write `text` in one rename, readable by the owner alone from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    part.replace(path)


def child_python_path() -> str:
    """PYTHONPATH for every Python of the stack: the project first, then what was set before."""
    return os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")]))
