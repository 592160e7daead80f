"""dlq/*: letters of edges taken up, letters sent again, and how many are open.

Belongs here: the assets and their jobs. Does not: reading the queue (pipeline.letter_uptake),
sending (pipeline.letter_replay), when to ask for a run and what is open (sensors.dead_letters).
"""

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

from carbon_assets.jobs import AT_LEISURE, NO_RETRY
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase
from sensors.dead_letters import OPEN

if TYPE_CHECKING:
    from pipeline.letter_replay import Outcome, Request

EDGE_LETTERS: Final = dg.AssetKey(["dlq", "edge_letters"])
REPLAY: Final = dg.AssetKey(["dlq", "replay"])
TAKE_JOB: Final = "take_up_dead_letters"
REPLAY_JOB: Final = "replay_dead_letters"
GROUP: Final = "dlq"
OWNERS: Final = ["team:data-platform"]
SHOWN_MAX: Final = 20

open_letters = dg.AssetSpec(
    key=OPEN,
    deps=[EDGE_LETTERS],
    group_name=GROUP,
    kinds={"postgres"},
    owners=OWNERS,
    description="Dead letters that wait for somebody's decision: how many, for which reasons, and "
    "how old the oldest is. Observed by the sensor watch_dead_letters; `carbon dlq list` and "
    "docs/dead-letters.md say what to do.",
    metadata={"dagster/table_name": "ledger.letter"},
)


@dg.asset(
    key=EDGE_LETTERS,
    group_name=GROUP,
    kinds={"kafka", "postgres"},
    owners=OWNERS,
    description="What adapters received and could not turn into events, out of dlq.failed_events: "
    "kept in ledger.edge_letter, each once, the offset in the same transaction.",
    metadata={"dagster/table_name": "ledger.edge_letter"},
    code_version=code_version(),
)
def edge_letters(database: LedgerDatabase) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Takes up what came since, and sends replays that whoever decided them left undone."""
    from carbon_ledger import settings
    from pipeline.letter_replay import resume
    from pipeline.letter_uptake import take_up

    given = settings.load()
    with database.connect("dead letters") as conn:
        uptake = take_up(conn, given)
        resumed = resume(conn, given)
    return dg.MaterializeResult(
        metadata={**vars(uptake), "rows_added": uptake.taken, "replays_resumed": resumed}
    )


class ReplayConfig(dg.Config):
    """Which letters are sent again, by whose decision and why. Ids, or conditions that all hold.

    Times as ISO 8601, e.g. 2026-03-01T12:00:00Z. `changes`: fields and their new values.
    """

    who: str
    why: str
    ids: list[str] = Field(default_factory=list)
    reason: str | None = None
    stream: str | None = None
    source: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int = 1_000
    changes: dict[str, str] = Field(default_factory=dict)
    force: bool = False

    def request(self) -> "Request":
        """The request; RejectedRecord or ConfigurationError if it is none."""
        from carbon_ledger.events import written_moment
        from carbon_ledger.store.letters import Wanted
        from pipeline.letter_replay import Request

        return Request(
            wanted=Wanted(
                ids=tuple(self.ids),
                reason=self.reason,
                stream=self.stream,
                source=self.source,
                since=written_moment(self.since, "not_a_moment"),
                until=written_moment(self.until, "not_a_moment"),
            ),
            who=self.who,
            why=self.why,
            limit=self.limit,
            changes=self.changes,
            force=self.force,
        )


@dg.asset(
    key=REPLAY,
    deps=[EDGE_LETTERS],
    group_name=GROUP,
    kinds={"kafka", "postgres"},
    owners=OWNERS,
    description="Sends dead letters again, chosen in the run's configuration, which names who "
    "decided it and why. Each lands once, however often it is sent.",
    metadata={"dagster/table_name": "ledger.letter_decision"},
    code_version=code_version(),
)
def replay(config: ReplayConfig, database: LedgerDatabase) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Decides, sends and notes; what is refused is told by its reason."""
    from carbon_ledger import settings
    from pipeline.letter_replay import replay as replay_letters

    with database.connect("dead letters") as conn:
        outcome = replay_letters(conn, settings.load(), config.request())
    return dg.MaterializeResult(metadata=facts(outcome))


def facts(outcome: "Outcome") -> dict[str, Any]:
    """What a replay did, as metadata."""
    refused = Counter(one.problem.code for one in outcome.refused)
    return {
        "sent": len(outcome.sent),
        "rows_added": len(outcome.sent),
        "resumed": outcome.resumed,
        "refused": sum(refused.values()),
        "refused_by_code": dict(sorted(refused.items())),
        "first_refused": [f"{one.letter_id}: {one.problem}" for one in outcome.refused[:SHOWN_MAX]],
    }


TAGS: Final = {**AT_LEISURE, **NO_RETRY}
take_job = dg.define_asset_job(
    TAKE_JOB,
    selection=dg.AssetSelection.assets(EDGE_LETTERS),
    tags=TAGS,
    description="Takes up letters of edges.",
)
replay_job = dg.define_asset_job(
    REPLAY_JOB,
    selection=dg.AssetSelection.assets(REPLAY),
    tags=TAGS,
    description="Sends dead letters again; the configuration says which, who and why.",
)
