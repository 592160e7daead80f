"""Every setting's name, default and meaning, in one table.

A value comes from, in this order: the process environment, `$CARBON_HOME/stack.env` (written by the
embedded stack, mode 0600), the default below. Importing this module reads nothing; `load()` does,
and an unknown CARBON_ name in the environment is refused with the known ones listed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from carbon_ledger.errors import ConfigurationError

PROJECT_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One documented variable. `default` None means: no default, the embedded stack or the user
    supplies it.
    """

    name: str
    default: str | None
    meaning: str
    secret: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="CARBON_HOME",
        default=None,
        meaning="data, logs and state of the embedded stack; `.carbon` in a checkout, else "
        "~/.local/share/carbon-ledger",
    ),
    Setting(
        name="CARBON_CACHE",
        default=None,
        meaning="verified downloads, shared between checkouts; ~/.cache/carbon-ledger",
    ),
    Setting(
        name="CARBON_PORT_OFFSET",
        default="0",
        meaning="added to every default port of the embedded stack, so that two stacks can live "
        "side by side",
    ),
    Setting(
        name="CARBON_MAVEN_REPOSITORY",
        default=None,
        meaning="root URL of a Maven repository to fetch jars from instead of Maven Central",
    ),
    Setting(
        name="CARBON_KAFKA_BOOTSTRAP_SERVERS",
        default="localhost:9092",
        meaning="Kafka bootstrap servers",
    ),
    Setting(
        name="CARBON_KAFKA_SECURITY_PROTOCOL",
        default="PLAINTEXT",
        meaning="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    ),
    Setting(
        name="CARBON_KAFKA_SASL_MECHANISM",
        default=None,
        meaning="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
    ),
    Setting(name="CARBON_KAFKA_SASL_USERNAME", default=None, meaning="SASL user"),
    Setting(name="CARBON_KAFKA_SASL_PASSWORD", default=None, meaning="SASL password", secret=True),
    Setting(
        name="CARBON_KAFKA_SSL_CA_LOCATION",
        default=None,
        meaning="PEM file of the CA that signed the brokers' certificates",
    ),
    Setting(
        name="CARBON_KAFKA_SSL_CERTIFICATE_LOCATION",
        default=None,
        meaning="PEM file of the client certificate (mutual TLS)",
    ),
    Setting(
        name="CARBON_KAFKA_SSL_KEY_LOCATION",
        default=None,
        meaning="PEM file of the client key (mutual TLS)",
    ),
    Setting(
        name="CARBON_REGISTRY_URL",
        default="http://localhost:8081/apis/ccompat/v7",
        meaning="schema registry, Confluent-compatible API",
    ),
    Setting(
        name="CARBON_REGISTRY_USERNAME",
        default=None,
        meaning="registry user (basic authentication)",
    ),
    Setting(
        name="CARBON_REGISTRY_PASSWORD", default=None, meaning="registry password", secret=True
    ),
    Setting(
        name="CARBON_REGISTRY_CA_LOCATION",
        default=None,
        meaning="PEM file of the CA that signed the registry's certificate",
    ),
    Setting(
        name="CARBON_CONNECT_URL",
        default="http://localhost:8083",
        meaning="Kafka Connect worker's REST interface",
    ),
    Setting(
        name="CARBON_DATABASE_ADMIN_URL",
        default=None,
        meaning="PostgreSQL URL of the migrator (creates schemas and roles)",
        secret=True,
    ),
    Setting(
        name="CARBON_DATABASE_WRITER_URL",
        default=None,
        meaning="PostgreSQL URL of the ledger writer (insert only)",
        secret=True,
    ),
    Setting(
        name="CARBON_DATABASE_READER_URL",
        default=None,
        meaning="PostgreSQL URL of the reader (select only)",
        secret=True,
    ),
    Setting(
        name="CARBON_DATABASE_SEALER_URL",
        default=None,
        meaning="PostgreSQL URL of the sealer (reads entries, adds seals and heads)",
        secret=True,
    ),
    Setting(
        name="CARBON_DATABASE_VERIFIER_URL",
        default=None,
        meaning="PostgreSQL URL of the verifier (select only, of every organization)",
        secret=True,
    ),
    Setting(
        name="CARBON_DATABASE_AUDITOR_URL",
        default=None,
        meaning="PostgreSQL URL of the auditor (select only, of every organization)",
        secret=True,
    ),
    Setting(
        name="CARBON_DATABASE_VAULT_URL",
        default=None,
        meaning="PostgreSQL URL of the vault (pseudonyms of persons and their wrapped keys)",
        secret=True,
    ),
    Setting(
        name="CARBON_DATABASE_GATE_URL",
        default=None,
        meaning="PostgreSQL URL of the API's gate (reads hashes of keys, and nothing else)",
        secret=True,
    ),
    Setting(
        name="CARBON_VAULT_KEY_FILE",
        default=None,
        meaning="the vault's key; the persons' secrets and the list of erasures are beside it; "
        "$CARBON_HOME/keys/vault.key",
    ),
    Setting(
        name="CARBON_ORGANIZATIONS",
        default="*",
        meaning="organizations that a connection as the reader sees, comma-separated; * is all",
    ),
    Setting(
        name="CARBON_SPARK_REMOTE",
        default="sc://localhost:15002",
        meaning="Spark Connect endpoint (sc://host:port, with ;use_ssl=true;token=… if needed)",
    ),
    Setting(
        name="CARBON_ARCHIVE_URL",
        default=None,
        meaning="where raw records are archived, a file:// or object-store URL; "
        "$CARBON_HOME/archive",
    ),
    Setting(
        name="CARBON_BACKUP_DIR",
        default=None,
        meaning="folder of the embedded PostgreSQL's base backups and WAL; better on another disk; "
        "$CARBON_HOME/backup",
    ),
    Setting(
        name="CARBON_DEFAULT_ORGANIZATION",
        default="default",
        meaning="organization of facilities that no reference row claims",
    ),
    Setting(
        name="CARBON_MAX_VINTAGE_GAP_YEARS",
        default="5",
        meaning="largest distance in years between an activity and the factor vintage used for it; "
        "beyond it the record is rejected",
    ),
    Setting(
        name="CARBON_GWP_SET",
        default="AR6",
        meaning="IPCC assessment report whose global warming potentials weigh the gases of a "
        "factor that publishes them: SAR, AR4, AR5 or AR6",
    ),
    Setting(
        name="CARBON_DLQ_TRIES_MAX",
        default="3",
        meaning="how often a dead letter is replayed before only --force replays it again",
    ),
    Setting(
        name="CARBON_LEDGER_ORIGIN",
        default="carbon-ledger",
        meaning="name of this ledger's tree in signed heads, and of the key that signs them",
    ),
    Setting(
        name="CARBON_SIGNING_KEY_FILE",
        default=None,
        meaning="PEM file, mode 0600, of the Ed25519 key that signs heads, made if it is missing; "
        "$CARBON_HOME/keys/ledger.pem",
    ),
    Setting(
        name="CARBON_WITNESS_URL",
        default=None,
        meaning="witness that heads are sent to (C2SP tlog-witness); none: not sent to any",
    ),
    Setting(
        name="CARBON_WITNESS_KEY",
        default=None,
        meaning="verifier key of the witness, name+key id+base64, with which its cosignatures are "
        "checked",
    ),
    Setting(
        name="CARBON_VERIFY_HEADS",
        default=None,
        meaning="folder of signed heads that the daily verification compares with, better one that "
        "the ledger's machine cannot change; $CARBON_HOME/heads",
    ),
    Setting(
        name="CARBON_VERIFY_ACCEPTED_RESTORES",
        default=None,
        meaning="numbers of the declared restores that the daily verification takes as known, "
        "comma-separated",
    ),
    Setting(
        name="CARBON_API_TOKEN_KEY_FILE",
        default=None,
        meaning="key that the API signs access tokens with, made if it is missing, the same for "
        "every process of it; $CARBON_HOME/keys/api-token.key",
    ),
    Setting(
        name="CARBON_API_REQUESTS_PER_SECOND",
        default="100",
        meaning="requests a second that the API takes of one key, twice as many at once; 0: any "
        "number",
    ),
    Setting(
        name="CARBON_AUDIT_DAGSTER_URL",
        default=None,
        meaning="address of the read-only Dagster webserver that reviewers' pages lead to, with "
        "its path prefix; none: runs are named and not linked",
    ),
    Setting(
        name="CARBON_REVIEW_URL",
        default="http://127.0.0.1:8000/review",
        meaning="address of the reviewers' pages, to which the cells of reports in HTML and XLSX "
        "lead; - for none",
    ),
    Setting(
        name="CARBON_ERP_SYSTEMS_FILE",
        default=None,
        meaning="YAML file of the ERP systems whose webhooks are taken, and the files of their "
        "secrets (docs/api.md); none: no webhook is taken",
    ),
    Setting(
        name="CARBON_PACT_REQUESTS_FILE",
        default=None,
        meaning="YAML file of what was bought for each request of footprints (docs/api.md); none: "
        "no footprint is taken",
    ),
    Setting(
        name="CARBON_SFTP_URL",
        default=None,
        meaning="SFTP server that suppliers leave files on, sftp://user@host:port/folder; none: "
        "not polled",
    ),
    Setting(
        name="CARBON_SFTP_KEY_FILE",
        default=None,
        meaning="private key the SFTP server is polled with; $CARBON_HOME/sftp/poller_key",
    ),
    Setting(
        name="CARBON_SFTP_KNOWN_HOSTS",
        default=None,
        meaning="the SFTP server's pinned host key, as in OpenSSH's known_hosts; "
        "$CARBON_HOME/sftp/known_hosts",
    ),
    Setting(
        name="CARBON_DROP_QUIET_SECONDS",
        default="30",
        meaning="a dropped file is whole when its size and time have stayed the same this long",
    ),
    Setting(
        name="CARBON_DROP_CUT_SECONDS",
        default="86400",
        meaning="a dropped file that ends in the middle is waited for this long, then refused",
    ),
    Setting(
        name="CARBON_QUARANTINE_DIR",
        default=None,
        meaning="folder where refused files are kept, byte by byte; $CARBON_HOME/quarantine",
    ),
    Setting(
        name="CARBON_DAGSTER_URL",
        default="http://localhost:3000",
        meaning="where people reach Dagster's web server; links to runs begin with it",
    ),
    Setting(
        name="CARBON_NOTICE_WEBHOOK_URL",
        default=None,
        meaning="where failed runs are posted, signed as webhooks to the API are (docs/api.md); "
        "none: not posted",
    ),
    Setting(
        name="CARBON_NOTICE_WEBHOOK_KEY_FILE",
        default=None,
        meaning="file with the secret, 16 bytes or more, that these posts are signed with",
    ),
    Setting(
        name="CARBON_NOTICE_SMTP_URL",
        default=None,
        meaning="mail server that failed runs are told by, smtp://host:port, or smtps://user@host "
        "with a user; none: no mail",
    ),
    Setting(
        name="CARBON_NOTICE_SMTP_PASSWORD_FILE",
        default=None,
        meaning="file with the password of that user",
    ),
    Setting(name="CARBON_NOTICE_MAIL_FROM", default=None, meaning="who such mail is from"),
    Setting(
        name="CARBON_NOTICE_MAIL_TO",
        default=None,
        meaning="who gets such mail, addresses separated by commas",
    ),
    Setting(
        name="CARBON_SNAPSHOT_DAYS",
        default="30",
        meaning="days after which report snapshots that nobody asked for are thinned to the last "
        "of each day (docs/schedules.md); 7 or more",
    ),
    Setting(
        name="CARBON_FAILPOINT",
        default=None,
        meaning="tests only: crash point at which the process kills itself (`part_opened`, at the "
        "second hit `part_opened:2`) or stops itself (`part_opened!stop`)",
    ),
)

KNOWN = {setting.name: setting for setting in SETTINGS}

# Read by Dagster from dagster.yaml, and printed by `carbon env`; ours to set, not ours to
# interpret.
DAGSTER_VARIABLES = (
    "DAGSTER_HOME",
    "DAGSTER_PG_HOST",
    "DAGSTER_PG_PORT",
    "DAGSTER_PG_DB",
    "DAGSTER_PG_USERNAME",
    "DAGSTER_PG_PASSWORD",
)


def default_home() -> Path:
    """`.carbon` beside pyproject.toml in a checkout, else the user's data folder."""
    if (PROJECT_ROOT / "pyproject.toml").exists():
        return PROJECT_ROOT / ".carbon"
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "carbon-ledger"


def default_cache() -> Path:
    """Verified downloads live outside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "carbon-ledger"


def read_env_file(path: Path) -> dict[str, str]:
    """NAME=value lines of `path` ({} if it does not exist); blank lines and # comments are
    skipped.
    """
    if not path.exists():
        return {}
    pairs = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            name, _, value = line.partition("=")
            pairs[name.strip()] = value.strip()
    return pairs


@dataclass(frozen=True)
class Settings:
    """Resolved settings. `settings["CARBON_REGISTRY_URL"]` gives the value or raises
    ConfigurationError.
    """

    values: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise ConfigurationError(
                "setting_missing",
                f"{name} is not set ({KNOWN[name].meaning}). Start the embedded stack with "
                f"`carbon up`, or set {name} in the environment.",
            )
        return value

    def get(self, name: str) -> str | None:
        """The value, or None where it is unset and has no default."""
        if name not in KNOWN:
            raise ConfigurationError(
                "setting_unknown", f"{name} is not a setting; known are: {', '.join(sorted(KNOWN))}"
            )
        return self.values.get(name) or KNOWN[name].default

    @property
    def home(self) -> Path:
        """Folder of the embedded stack's data, logs and state."""
        return Path(self.values["CARBON_HOME"])

    @property
    def cache(self) -> Path:
        """Folder of verified downloads."""
        return Path(self.values["CARBON_CACHE"])

    @property
    def archive_url(self) -> str:
        """Where raw records are archived, as a URL."""
        return self.get("CARBON_ARCHIVE_URL") or (self.home / "archive").absolute().as_uri()

    @property
    def signing_key_file(self) -> Path:
        """The file of the key that signs heads."""
        given = self.get("CARBON_SIGNING_KEY_FILE")
        return Path(given) if given else self.home / "keys" / "ledger.pem"

    @property
    def heads_folder(self) -> Path:
        """Where signed heads are kept as files."""
        return self.home / "heads"

    @property
    def verify_heads_folder(self) -> Path:
        """Where the daily verification finds heads that left the database."""
        given = self.get("CARBON_VERIFY_HEADS")
        return Path(given) if given else self.heads_folder

    @property
    def accepted_restores(self) -> tuple[int, ...]:
        """Declared restores that are known; ConfigurationError `setting_restores`."""
        text = self.get("CARBON_VERIFY_ACCEPTED_RESTORES") or ""
        words = [word.strip() for word in text.split(",") if word.strip()]
        if not all(word.isascii() and word.isdigit() and len(word) <= 9 for word in words):
            raise ConfigurationError(
                "setting_restores",
                f"CARBON_VERIFY_ACCEPTED_RESTORES is {text!r}; valid are whole numbers, separated"
                " by commas",
            )
        return tuple(int(word) for word in words)

    @property
    def quarantine_dir(self) -> Path:
        """Where refused files are kept."""
        given = self.get("CARBON_QUARANTINE_DIR")
        return Path(given) if given else self.home / "quarantine"

    def seconds(self, name: str) -> timedelta:
        """A setting that is a number of seconds; ConfigurationError `setting_seconds`."""
        text = self[name]
        if not text.isascii() or not text.isdigit() or len(text) > 8:
            raise ConfigurationError(
                "setting_seconds", f"{name} is {text!r}; valid is a whole number of seconds"
            )
        return timedelta(seconds=int(text))

    @property
    def port_offset(self) -> int:
        """Added to each default port of the embedded stack."""
        return int(self["CARBON_PORT_OFFSET"])


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment, `stack.env` and the defaults. Raises ConfigurationError on
    unknown names.
    """
    environment = os.environ if environ is None else environ
    given = {name: value for name, value in environment.items() if name.startswith("CARBON_")}
    unknown = sorted(set(given) - set(KNOWN))
    if unknown:
        raise ConfigurationError(
            "setting_unknown",
            f"unknown setting {', '.join(unknown)}; known are: {', '.join(sorted(KNOWN))}",
        )
    home = Path(given.get("CARBON_HOME") or default_home()).absolute()
    cache = Path(given.get("CARBON_CACHE") or default_cache()).absolute()
    written = {k: v for k, v in read_env_file(home / "stack.env").items() if k in KNOWN}
    return Settings({**written, **given, "CARBON_HOME": str(home), "CARBON_CACHE": str(cache)})
