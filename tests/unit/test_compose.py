"""docker-compose.yml: valid by the Compose specification, with the embedded stack's settings."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from carbon_ledger.settings import KNOWN, PROJECT_ROOT
from devstack.dagster import AUDIT_PREFIX, AuditWebserver, audit_url
from devstack.downloads import read_lock
from devstack.layout import Layout
from devstack.postgres import DATABASE_OWNERS, LOGIN_ROLES
from scripts import make_secrets, write_deploy_settings

FILE = PROJECT_ROOT / "docker-compose.yml"
TOPOLOGY = {
    *("kafka-1", "kafka-2", "kafka-3", "schema-registry", "kafka-connect"),
    *("spark-master", "spark-worker-1", "spark-worker-2", "spark-connect"),
    *("postgres", "timescaledb", "grafana", "mqtt", "sftp", "prepare", "api"),
    *("code-server", "dagster-webserver", "dagster-audit", "dagster-daemon"),
}
RUNS_ONCE = {"prepare"}
PINNED = re.compile(
    r"[a-z0-9./-]+:v?[0-9]+(\.[0-9]+)+[A-Za-z0-9.-]*|\$\{[A-Z_]+:-[a-z-]+:[0-9.]+\}"
)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def faults(compose: dict[str, Any]) -> Iterator[str]:
    """Whatever a service lacks of what each one must have."""
    for name, service in compose["services"].items():
        if PINNED.fullmatch(service["image"]) is None:
            yield f"{name}: {service['image']} is not pinned to a version"
        user = str(service.get("user", ""))
        if not re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", user):
            yield f"{name}: runs as {user or 'whoever the image says'}"
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        if {"cpus", "memory"} - limits.keys():
            yield f"{name}: has no limits"
        if "healthcheck" not in service and name not in RUNS_ONCE:
            yield f"{name}: nobody asks how it is"
        if service.get("cap_drop") != ["ALL"]:
            yield f"{name}: keeps capabilities"
        for variable, value in service.get("environment", {}).items():
            if variable.startswith("CARBON_") and variable not in KNOWN | {"CARBON_LOGINS": None}:
                yield f"{name}: {variable} is no setting"
            is_file = str(value).startswith("/run/secrets/")
            if re.search("PASSWORD|SECRET", variable) and not is_file:
                yield f"{name}: {variable} is not from a file"
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{name}: port {port} is open to everybody"
        for secret in service.get("secrets", []):
            if secret not in compose["secrets"]:
                yield f"{name}: there is no secret {secret}"
        for other in service.get("depends_on", {}):
            if other not in compose["services"]:
                yield f"{name}: waits for {other}, which there is not"
        for volume in service.get("volumes", []):
            source = str(volume).partition(":")[0]
            if source.startswith("./") and not (PROJECT_ROOT / source).exists():
                yield f"{name}: {source} does not exist"
            if not source.startswith((".", "/")) and source not in compose["volumes"]:
                yield f"{name}: there is no volume {source}"


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    return subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)


def test_it_is_valid_by_the_compose_specification() -> None:
    done = validate(FILE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_specification_s_check_sees_a_misspelt_key(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    text = FILE.read_text(encoding="utf-8")
    broken.write_text(text.replace("healthcheck:", "health_check:", 1), encoding="utf-8")
    assert validate(broken).returncode == 1


def test_the_topology_is_whole_and_every_service_is_as_each_must_be(
    compose: dict[str, Any],
) -> None:
    assert set(compose["services"]) == TOPOLOGY
    assert list(faults(compose)) == []


@pytest.mark.parametrize(
    ("service", "change", "said"),
    [
        ("mqtt", {"image": "eclipse-mosquitto:latest"}, "not pinned"),
        ("api", {"user": "0:0"}, "runs as 0:0"),
        ("api", {"deploy": {}}, "has no limits"),
        ("sftp", {"healthcheck": None}, "nobody asks"),
        ("api", {"ports": ["8000:8000"]}, "open to everybody"),
        ("api", {"environment": {"CARBON_REGISTRI_URL": "x"}}, "is no setting"),
        ("grafana", {"environment": {"GF_SECURITY_ADMIN_PASSWORD": "x"}}, "not from a file"),
    ],
)
def test_each_of_these_faults_is_seen(
    compose: dict[str, Any], service: str, change: dict[str, Any], said: str
) -> None:
    services = dict(compose["services"])
    changed = {**services[service], **change}
    services[service] = {name: value for name, value in changed.items() if value is not None}
    assert any(said in fault for fault in faults({**compose, "services": services}))


def test_settings_are_those_that_the_embedded_stack_runs_with() -> None:
    assert write_deploy_settings.main(["--check"]) == 0


def test_versions_are_those_that_the_embedded_stack_runs(compose: dict[str, Any]) -> None:
    revisions = {jar.name: jar.revision for jar in read_lock()}
    assert compose["services"]["kafka-1"]["image"] == f"apache/kafka:{revisions['kafka_2.13']}"
    dockerfile = (PROJECT_ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
    spark = revisions["spark-sql-kafka-0-10_2.13"]
    assert f"apache/spark:{spark}-" in dockerfile
    assert f"pyspark=={spark}" in (PROJECT_ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_the_auditors_web_server_is_read_only_under_the_embedded_stack_s_path(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    layout = Layout(home=tmp_path, cache=tmp_path, offset=0)
    embedded = AuditWebserver(layout).command()
    composed = compose["services"]["dagster-audit"]["command"]
    options = ["--read-only", "--path-prefix", AUDIT_PREFIX]
    assert embedded[-3:] == composed[-3:] == options
    port = str(layout.port(AuditWebserver.name))
    assert composed[composed.index("-p") + 1] == embedded[embedded.index("-p") + 1] == port
    said = compose["services"]["api"]["environment"]["CARBON_AUDIT_DAGSTER_URL"]
    assert said.replace("localhost", "127.0.0.1") == audit_url(layout)


def test_every_role_has_its_secret_and_prepare_is_given_all_of_them(
    compose: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(LOGIN_ROLES) | {"postgres"} == set(compose["services"]["prepare"]["secrets"])
    assert set(compose["secrets"]) == {*make_secrets.NAMES, *make_secrets.BY_HAND}
    assert set(DATABASE_OWNERS) == {"carbon", "dagster", "registry"}
    assert make_secrets.main([str(tmp_path)]) == 0
    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert set(drawn) == set(make_secrets.NAMES)
    assert len(set(drawn.values())) == len(drawn)
    # In a URL as they are, and never on the screen.
    assert all(re.fullmatch("[0-9a-f]{48}", secret) for secret in drawn.values())
    said = capsys.readouterr().out
    assert not any(secret in said for secret in drawn.values())
    assert make_secrets.main([str(tmp_path)]) == 0
    again = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert again == drawn


def test_the_entry_point_makes_urls_of_secrets_and_refuses_to_start_without_one(
    tmp_path: Path,
) -> None:
    text = (PROJECT_ROOT / "deploy/docker/entrypoint.sh").read_text(encoding="utf-8")
    script = tmp_path / "entrypoint.sh"
    script.write_text(text.replace("/run/secrets", str(tmp_path)), encoding="utf-8")
    (tmp_path / "carbon_writer").write_text("abc", encoding="utf-8")
    (tmp_path / "carbon_migrator").write_text("def", encoding="utf-8")

    def start(logins: str) -> subprocess.CompletedProcess[str]:
        command = "import os; print(os.environ.get('CARBON_DATABASE_WRITER_URL'));"
        command += "print(os.environ.get('CARBON_DATABASE_ADMIN_URL'))"
        return subprocess.run(
            ["/bin/sh", str(script), sys.executable, "-c", command],
            env={"CARBON_LOGINS": logins, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    done = start("WRITER=carbon_writer ADMIN=carbon_migrator")
    assert done.stdout.splitlines() == [
        "postgresql://carbon_writer:abc@postgres:5432/carbon",
        "postgresql://carbon_migrator:def@postgres:5432/carbon?options=-c%20role%3Dcarbon_owner",
    ]
    assert start("READER=carbon_reader").returncode != 0
