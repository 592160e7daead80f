"""What an archived object says of itself: which part it is, and by what its records were judged.

Belongs here: those terms, as the one JSON text in the object's own metadata. Does not: the object
(spark.archive), the judgement. With the terms, the archive alone is enough to do it all again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.places import DEFAULT_ORGANIZATION
from carbon_ledger.policy import Policy

FORMAT: Final = "carbon-part/1"


@dataclass(frozen=True, kw_only=True)
class PartTerms:
    """One Kafka partition's part of a batch, and the rules of its judgement.

    `recorded_at` is the moment of its entries, and that at which reference data is as known.
    `schemas` maps the writer schema ids met in it to the SHA-256 (hex) of their texts;
    `reference_sha256` (hex) names the statements of reference data, None where there were none.
    """

    stream: str
    topic: str
    topic_incarnation: int
    kafka_partition: int
    start_offset: int
    end_offset: int
    batch_id: int
    attempt: int
    recorded_at: datetime
    factor_release: str
    code_version: str
    default_organization: str = DEFAULT_ORGANIZATION
    gwp_set: str
    max_vintage_gap_years: int
    reference_sha256: str | None = None
    schemas: Mapping[int, str] = field(default_factory=dict)

    @property
    def policy(self) -> Policy:
        """The choices the records were judged with."""
        return Policy(gwp_set=self.gwp_set, max_vintage_gap_years=self.max_vintage_gap_years)

    @property
    def where(self) -> tuple[str, int, int]:
        """Topic, incarnation, Kafka partition."""
        return self.topic, self.topic_incarnation, self.kafka_partition


def terms_text(terms: PartTerms) -> str:
    """The terms as JSON, keys in order."""
    values: dict[str, Any] = {"format": FORMAT, **asdict(terms)}
    values["recorded_at"] = terms.recorded_at.isoformat()
    values["schemas"] = {str(number): sha256 for number, sha256 in terms.schemas.items()}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def terms_of(text: str) -> PartTerms:
    """The terms of such a text. Raises BrokenInvariant `part_terms` if they cannot be read."""
    try:
        values = json.loads(text)
        form = values.pop("format")
        if form != FORMAT:
            raise BrokenInvariant("part_terms", f"{form!r} is no known form; known is {FORMAT}")
        values["recorded_at"] = datetime.fromisoformat(values["recorded_at"])
        values["schemas"] = {int(number): one for number, one in values["schemas"].items()}
        return PartTerms(**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenInvariant(
            "part_terms", f"the terms of an archived part cannot be read: {error}"
        ) from error
