"""Writes the settings of the composed services from those that the embedded stack runs with.

    python -m scripts.write_deploy_settings [--check]

Belongs here: which settings carry over, and what differs between one machine's loopback interface
and a network of containers. Does not: the settings themselves (devstack). `--check` writes nothing
and exits with 1 where a file is not what it would write.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from carbon_ledger.settings import PROJECT_ROOT
from devstack.kafka import Broker
from devstack.layout import Layout
from devstack.postgres import CONFIGURATION
from devstack.spark import AVRO_KINDS, AVRO_LENGTH_MAX, OPENED, Spark

BROKERS = 3
WAL = "/var/lib/postgresql/wal"
HEAD = "# Written by scripts/write_deploy_settings.py from what the embedded stack runs with.\n"
# What a broker's neighbours and places decide, and compose says per broker.
OF_ONE_BROKER = (
    "node.id",
    "controller.quorum.voters",
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "log.dirs",
)
OF_ONE_MACHINE = (
    *("spark.driver.host", "spark.driver.bindAddress", "spark.connect.grpc.binding.address"),
    *("spark.connect.grpc.binding.port", "spark.local.dir", "spark.sql.warehouse.dir"),
)


def layout() -> Layout:
    """A layout whose places appear in no file."""
    return Layout(home=Path("/nowhere"), cache=Path("/nowhere"), offset=0)


def kafka_properties() -> str:
    """What all three brokers have in common."""
    own = Broker(layout(), Path("/nowhere"), 1, BROKERS).properties()
    return _properties({name: own[name] for name in own if name not in OF_ONE_BROKER})


def spark_defaults() -> str:
    """spark-defaults.conf of the Connect server, and of workers where it applies."""
    own = Spark(layout(), Path("/nowhere"), {}).configuration()
    java = " ".join(
        [
            *(f"--add-opens={module}=ALL-UNNAMED" for module in OPENED),
            *(
                f"-Dorg.apache.avro.limits.{kind}.maxLength={AVRO_LENGTH_MAX}"
                for kind in AVRO_KINDS
            ),
        ]
    )
    values = {name: own[name] for name in own if name not in OF_ONE_MACHINE}
    values |= {"spark.driver.extraJavaOptions": java, "spark.executor.extraJavaOptions": java}
    return HEAD + "".join(f"{name} {value}\n" for name, value in sorted(values.items()))


def postgres_configuration() -> str:
    """postgresql.conf: the same but for the address, the memory the container has, and WAL, which
    goes to a volume of its own.
    """
    text = CONFIGURATION.format(
        port=5432,
        shared_memory="posix",
        archive_command=f"mkdir -p {WAL} && test ! -f {WAL}/%f && cp %p {WAL}/%f",
    )
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    changed = [
        line.replace("'127.0.0.1'", "'*'") if line.startswith("listen_addresses") else line
        for line in lines
        if not line.startswith("unix_socket_directories")
    ]
    return HEAD + "\n".join(changed) + "\n"


def files() -> dict[Path, str]:
    """Every file, by its place in the project."""
    return {
        Path("deploy/kafka/server.properties"): kafka_properties(),
        Path("deploy/postgres/postgresql.conf"): postgres_configuration(),
        Path("deploy/spark/spark-defaults.conf"): spark_defaults(),
    }


def _properties(values: Mapping[str, object]) -> str:
    return HEAD + "".join(f"{name}={value}\n" for name, value in sorted(values.items()))


def main(argv: Sequence[str] | None = None) -> int:
    """0 if every file is, or now is, what it should be."""
    only_check = "--check" in (sys.argv[1:] if argv is None else argv)
    stale = []
    for place, text in files().items():
        path = PROJECT_ROOT / place
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(place))
        if not only_check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{name} {'is not what it should be' if only_check else 'written'}")
    return 1 if only_check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
