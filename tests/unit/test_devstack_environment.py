"""Which parts are the stack's own, and the variables that say where each part is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.settings import KNOWN, Settings, load
from devstack import environment
from devstack.kafka import BROKER_COUNTS, Broker, count_brokers
from devstack.layout import DEFAULT_PORTS, LATER_ROLES, ROLES, Layout
from devstack.plan import make_plan
from tests.support.stack_environment import TEST_OFFSET

FIRST_OUTGOING_PORT = 32768  # Linux's default; a port above may be taken by any outgoing connection
DATABASE = "postgresql://u:p@db.example:5432/carbon"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"CARBON_HOME": str(tmp_path / "home"), "CARBON_CACHE": str(tmp_path / "cache")})


@pytest.fixture
def layout(settings: Settings) -> Layout:
    return Layout.of(settings)


def services(settings: Settings, environ: dict[str, str], *, dagster: bool = True) -> set[str]:
    plan = make_plan(settings, brokers=1, dagster=dagster, environ=environ)
    return {service.name for service in plan.services}


def test_with_nothing_set_every_part_is_ours(settings: Settings) -> None:
    data = {"postgres", "kafka", "registry", "spark", "witness"}
    everything = data | {"code-server", "dagster", "daemon"}
    assert services(settings, {}) == everything


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("CARBON_KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092", "kafka"),
        ("CARBON_REGISTRY_URL", "https://registry.example/apis/ccompat/v7", "registry"),
        ("CARBON_SPARK_REMOTE", "sc://spark.example:15002", "spark"),
    ],
)
def test_a_part_of_somebody_else_is_not_started(
    settings: Settings, name: str, value: str, part: str
) -> None:
    plan = make_plan(settings, brokers=1, dagster=False, environ={name: value})
    assert part not in {service.name for service in plan.services}
    assert [external.name for external in plan.external] == [part]
    assert plan.values[name] == value
    assert plan.environment[name] == value


def test_postgres_runs_as_long_as_anything_keeps_its_data_there(settings: Settings) -> None:
    database = dict.fromkeys(environment.DATABASE_ROLES, DATABASE)
    registry = {"CARBON_REGISTRY_URL": "http://registry.example"}
    storage = {
        "DAGSTER_PG_HOST": "db.example",
        "DAGSTER_PG_PORT": "5432",
        "DAGSTER_PG_DB": "d",
        "DAGSTER_PG_USERNAME": "u",
        "DAGSTER_PG_PASSWORD": "p",
    }
    assert "postgres" in services(settings, database)
    assert "postgres" in services(settings, {**database, **registry})
    assert "postgres" not in services(settings, {**database, **registry, **storage})


def test_a_shell_that_holds_the_printed_variables_still_means_the_embedded_stack(
    settings: Settings, layout: Layout
) -> None:
    own = environment.own_values(layout)
    stale = {**own, "CARBON_DATABASE_ADMIN_URL": "postgresql://x:old@localhost:5433/carbon"}
    assert services(settings, own) == services(settings, {})
    plan = make_plan(settings, brokers=1, dagster=True, environ=stale)
    assert plan.values["CARBON_DATABASE_ADMIN_URL"] == own["CARBON_DATABASE_ADMIN_URL"]


def test_half_a_foreign_database_is_refused_naming_the_other_half(layout: Layout) -> None:
    with pytest.raises(ConfigurationError, match="CARBON_DATABASE_ADMIN_URL, CARBON_DATABASE_AUD"):
        environment.external_parts(layout, {"CARBON_DATABASE_WRITER_URL": DATABASE})


def test_half_a_foreign_dagster_storage_is_refused(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="because DAGSTER_PG_HOST is"):
        make_plan(settings, brokers=1, dagster=True, environ={"DAGSTER_PG_HOST": "db.example"})


def test_how_to_reach_a_foreign_part_is_passed_on(settings: Settings) -> None:
    environ = {
        "CARBON_KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9093",
        "CARBON_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    }
    plan = make_plan(settings, brokers=1, dagster=False, environ=environ)
    assert plan.values["CARBON_KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"


def test_stack_env_is_what_the_settings_read(layout: Layout) -> None:
    environment.write_stack_env(layout, environment.own_values(layout))
    read = load({"CARBON_HOME": str(layout.home)})
    own = environment.own_values(layout)
    for name in own:
        if name in KNOWN:
            assert read[name] == own[name]
    assert layout.env_file.stat().st_mode & 0o777 == 0o600


def test_exports_are_safe_for_a_shell(layout: Layout) -> None:
    environment.write_stack_env(layout, {"CARBON_KAFKA_SASL_PASSWORD": "a b;$(id)"})
    assert "export CARBON_KAFKA_SASL_PASSWORD='a b;$(id)'\n" in environment.shell_exports(layout)


def test_before_the_first_start_there_is_nothing_to_print(layout: Layout) -> None:
    with pytest.raises(ConfigurationError, match="carbon up"):
        environment.shell_exports(layout)


def test_passwords_are_drawn_once_and_kept_private(layout: Layout) -> None:
    first = layout.passwords()
    assert layout.passwords() == first
    assert len(set(first.values())) == len(first)
    assert (layout.home / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_stack_from_before_there_were_more_roles_gets_their_passwords(layout: Layout) -> None:
    first = layout.passwords()
    path = layout.home / "secrets.json"
    path.write_text(json.dumps({role: first[role] for role in ROLES}), encoding="utf-8")
    later = layout.passwords()
    assert {role: later[role] for role in ROLES} == {role: first[role] for role in ROLES}
    assert set(later) == {*ROLES, *LATER_ROLES}
    assert layout.passwords() == later
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_secrets_file_that_was_cut_is_refused(layout: Layout) -> None:
    drawn = layout.passwords()
    del drawn["carbon_writer"]
    (layout.home / "secrets.json").write_text(json.dumps(drawn), encoding="utf-8")
    with pytest.raises(BrokenInvariant, match="carbon_writer"):
        layout.passwords()


def test_no_two_ports_meet_and_the_test_stacks_are_safe_from_outgoing_ones(layout: Layout) -> None:
    kafka = [port for n in (1, 2, 3) for port in (layout.broker_port(n), layout.controller_port(n))]
    ports = [*DEFAULT_PORTS.values(), *kafka]
    assert len(set(ports)) == len(ports)
    assert max(ports) + TEST_OFFSET < FIRST_OUTGOING_PORT
    # Dagster's and the API's alone end alike; they are 5000 apart.
    others = [port for port in ports if port != DEFAULT_PORTS["api"]]
    assert len({port % 1000 for port in others}) == len(others)


@pytest.mark.parametrize("offset", ["-1", "many", "60000"])
def test_an_impossible_offset_is_refused(offset: str, tmp_path: Path) -> None:
    bad = load({"CARBON_HOME": str(tmp_path), "CARBON_PORT_OFFSET": offset})
    with pytest.raises(ConfigurationError, match=f"CARBON_PORT_OFFSET is {offset}"):
        Layout.of(bad)


def fix(layout: Layout, count: int) -> None:
    layout.brokers_file.parent.mkdir(parents=True)
    layout.brokers_file.write_text(str(count))


def test_the_number_of_brokers_is_fixed_by_the_first_start(layout: Layout) -> None:
    assert count_brokers(layout, None) == 1
    assert count_brokers(layout, 3) == 3
    fix(layout, 3)
    assert count_brokers(layout, None) == 3
    assert count_brokers(layout, 3) == 3
    with pytest.raises(ConfigurationError, match="first started with 3 brokers"):
        count_brokers(layout, 1)


def test_two_brokers_are_refused_for_they_would_have_no_majority(layout: Layout) -> None:
    with pytest.raises(ConfigurationError, match="valid are 1 and 3"):
        count_brokers(layout, 2)


def test_clients_are_told_every_broker(layout: Layout) -> None:
    fix(layout, 3)
    servers = environment.own_values(layout)["CARBON_KAFKA_BOOTSTRAP_SERVERS"]
    assert servers == "localhost:9092,localhost:9094,localhost:9096"


@pytest.mark.parametrize("count", BROKER_COUNTS)
def test_replication_follows_the_number_of_brokers(layout: Layout, count: int) -> None:
    properties = Broker(layout, Path("jars"), 1, count).properties()
    copies, in_sync = {1: (1, 1), 3: (3, 2)}[count]
    for topic in ("default.replication.factor", "offsets.topic.replication.factor"):
        assert properties[topic] == copies
    assert properties["transaction.state.log.replication.factor"] == copies
    assert properties["min.insync.replicas"] == in_sync
    assert properties["auto.create.topics.enable"] == "false"
    assert str(properties["controller.quorum.voters"]).count("@") == count
