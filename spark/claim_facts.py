"""The facts of a claim, from its entries and the archived records they were posted from.

Belongs here: which claim an entry is in, and the members of a claim, judged anew with the factors
their entries name. Does not: which of them counts (carbon_ledger.claims), posting
(spark.supersede).
No JVM, no Kafka, no registry.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from carbon_ledger.calculation import EVENT_KINDS
from carbon_ledger.claims.facts import Fact, Figure
from carbon_ledger.claims.posting_plan import RETRACTED, Member, MemberLine, figure_by_hand
from carbon_ledger.entries import EntryRow
from carbon_ledger.errors import BrokenInvariant, CarbonError, RejectedRecord
from carbon_ledger.event_fields import ActivityEvent
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.purchasing.production_events import SupplierProductionEvent
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.purchasing.purchase_facts import (
    PURCHASE_CATEGORIES,
    claim_of,
    fact_of_declaration,
    facts_of_purchase,
)
from carbon_ledger.purchasing.supplier_events import SupplierDeclarationEvent
from carbon_ledger.settings import Settings
from carbon_ledger.store.claims import latest_revisions, wholes_of
from carbon_ledger.store.lineage import (
    PostedPart,
    RestatedBy,
    entries_by_key,
    posted_parts,
    restated_rules,
)
from carbon_ledger.stream_events import event_of
from pipeline.serialization import widest_schema_text
from spark.decode import FRAME_BYTES, decode_body, frame_schema_id
from spark.rejudge import RulesAsKnown, SchemasOf, rejudge_with, terms_in

# A name no purchase has: a footprint that names no line, and none is of its item, stands for it.
UNNAMED_LINE: Final = "unnamed"

Place = tuple[str, int, int]


@dataclass(frozen=True, kw_only=True)
class _Key:
    """A record and by what factors and rules it is judged."""

    place: Place
    offset: int
    release_id: str
    kept: RestatedBy | None


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What a record says: its event and lines, and the inventory they were calculated with.

    A production report is here the declaration it is.
    """

    event: ActivityEvent
    lines: tuple[EmissionLine, ...]
    inventory: Inventory

    def line(self, line_no: int) -> EmissionLine:
        """The line with this number; BrokenInvariant `line_unknown` if there is none."""
        if not 1 <= line_no <= len(self.lines):
            raise BrokenInvariant(
                "line_unknown", f"{self.event.event_id} posts no line {line_no} any more"
            )
        return self.lines[line_no - 1]

    def claim(self, line_no: int) -> str | None:
        """The claim a line of it is in; None: in none. Raises what the facts raise."""
        line, event = self.line(line_no), self.event
        if isinstance(event, PurchaseOrderEvent):
            facts = facts_of_purchase(event, [line], self.inventory.now)
            return facts[0].claim.text if facts else None
        own = self.own_lines
        if not isinstance(event, SupplierDeclarationEvent) or line_no not in own:
            return None
        category = own[min(own)].assignment.category or PURCHASE_CATEGORIES[0]
        return claim_of(event.entity_id, event.supplier_id, category, event.occurred_from).text

    @property
    def own_lines(self) -> dict[int, EmissionLine]:
        """Lines of a declaration that stand for what was bought, by number."""
        return {
            number: line
            for number, line in enumerate(self.lines, start=1)
            if line.assignment.category in PURCHASE_CATEGORIES
        }


@dataclass(frozen=True, kw_only=True)
class ClaimFacts:
    """The members of a claim, and the activities that are in it no more."""

    members: tuple[Member, ...]
    left: tuple[str, ...]


class ClaimRecords:
    """Reads the records behind entries, each once; `connection` in autocommit or a transaction."""

    def __init__(self, connection: Any, settings: Settings) -> None:
        self._connection = connection
        self._archive_url = settings.archive_url
        self._rules = RulesAsKnown(
            connection=connection, archive_url=settings.archive_url, settings=settings
        )
        self._parts: dict[Place, list[PostedPart]] = {}
        self._restated: dict[UUID, RestatedBy | None] = {}
        self._found: dict[_Key, Statement | CarbonError] = {}

    def load(self, rows: Iterable[EntryRow]) -> None:
        """Reads the records of entries that name one, part by part."""
        wanted = [row for row in rows if row.topic is not None and not row.is_reversal]
        unknown = [row.entry_id for row in wanted if row.entry_id not in self._restated]
        if unknown:
            known = restated_rules(self._connection, unknown)
            self._restated.update((entry_id, known.get(entry_id)) for entry_id in unknown)
        groups: dict[tuple[str, str, RestatedBy | None], dict[int, _Key]] = defaultdict(dict)
        parts: dict[str, PostedPart] = {}
        for key in {self._key(row) for row in wanted}:
            # Not the difference of two sets: that would walk through everything found before.
            if key in self._found:
                continue
            try:
                part = self._part_of(key)
            except BrokenInvariant as error:
                self._found[key] = error
                continue
            parts[part.archive_object] = part
            groups[part.archive_object, key.release_id, key.kept][key.offset] = key
        for (name, release_id, kept), keys in groups.items():
            try:
                self._read(parts[name], release_id, kept, keys)
            except BrokenInvariant as error:
                # One object that is gone holds the claims of its records, and no other.
                self._found.update(dict.fromkeys(keys.values(), error))

    def statement(self, row: EntryRow) -> Statement:
        """What the record of an entry says, by the rules of the entry.

        Raises what judging it raised, BrokenInvariant `part_missing` or `archive_incomplete`.
        """
        self.load([row])
        found = self._found.get(self._key(row))
        if found is None:
            raise BrokenInvariant("archive_incomplete", f"no record gives entry {row.entry_id}")
        if isinstance(found, CarbonError):
            raise found
        return found

    def _key(self, row: EntryRow) -> _Key:
        return _Key(
            place=(row.topic or "", row.topic_incarnation or 0, row.kafka_partition or 0),
            offset=row.kafka_offset or 0,
            release_id=row.factor_release,
            kept=self._restated.get(row.entry_id),
        )

    def _part_of(self, key: _Key) -> PostedPart:
        topic, incarnation, partition = key.place
        for is_known in (True, False):
            # Not known: parts that were committed since the list was read.
            if not is_known or key.place not in self._parts:
                found = posted_parts(
                    self._connection,
                    topic=topic,
                    topic_incarnation=incarnation,
                    kafka_partition=partition,
                )
                self._parts[key.place] = sorted(found, key=lambda part: part.start_offset)
            parts = self._parts[key.place]
            number = bisect_right(parts, key.offset, key=lambda part: part.start_offset) - 1
            if number >= 0 and key.offset < parts[number].end_offset:
                return parts[number]
        raise BrokenInvariant("part_missing", f"no account holds offset {key.offset} of {topic}")

    def _read(
        self, part: PostedPart, release_id: str, kept: RestatedBy | None, keys: Mapping[int, _Key]
    ) -> None:
        rules = self._rules.of(part, factor_release=release_id)
        if kept is not None:
            rules = replace(
                rules,
                policy=replace(
                    rules.policy,
                    gwp_set=kept.gwp_set,
                    max_vintage_gap_years=kept.max_vintage_gap_years,
                ),
                register=self._rules.register(kept.reference_known_at),
            )
        schemas = SchemasOf(self._connection, terms_in(self._archive_url, part))
        inventory = rules.inventory(part.recorded_at)
        for one in rejudge_with(self._archive_url, part, rules, schemas, keys.keys()):
            key = keys[one.kafka_offset]
            if one.refusal is not None or one.value is None:
                self._found[key] = one.refusal or BrokenInvariant("no_record", f"{key} is empty")
                continue
            writer = schemas(frame_schema_id(one.value))
            text = widest_schema_text(part.stream)
            decoded = decode_body(one.value[FRAME_BYTES:], writer, text)
            event = event_of(part.stream, decoded.fields, part.recorded_at)
            if not isinstance(event, ActivityEvent):
                raise BrokenInvariant("other_stream", f"{part.stream} makes no claims")
            lines = EVENT_KINDS[part.stream].lines(event, inventory)
            if isinstance(event, SupplierProductionEvent):
                event = event.as_declaration()
            self._found[key] = Statement(event=event, lines=lines, inventory=inventory)

    # ---- which claim an entry is in

    def claims(self, rows: Sequence[EntryRow], known: Mapping[UUID, str | None]) -> _Placed:
        """The claim of each entry (None: none), and of those that cannot be placed, why not.

        `known` are the claims of entries that were taken before: a reversal is in the claim of what
        it takes back.
        """
        placed: dict[UUID, str | None] = dict(known)
        problems: dict[UUID, CarbonError] = {}
        plain = [row for row in rows if not row.is_reversal]
        self.load(plain)
        homes = self._homes([row for row in plain if row.topic is None])
        for row in plain:
            try:
                home = homes.get(row.activity_ref) if row.topic is None else row
                if home is None:
                    raise BrokenInvariant(
                        "no_record", f"no entry of {row.activity_ref} names a record"
                    )
                placed[row.entry_id] = self.statement(home).claim(row.line_no)
            except (RejectedRecord, BrokenInvariant) as error:
                problems[row.entry_id] = error
        for row in rows:
            if row.reverses_id is None:
                continue
            if row.reverses_id in problems:
                problems[row.entry_id] = problems[row.reverses_id]
            else:
                placed[row.entry_id] = placed.get(row.reverses_id)
        return _Placed(claims=placed, problems=problems)

    def _homes(self, rows: Sequence[EntryRow]) -> dict[str, EntryRow]:
        """For activities that were corrected by hand, the first line of their newest revision."""
        if not rows:
            return {}
        latest = latest_revisions(self._connection, {row.activity_ref for row in rows})
        keys = {(one.entry_id, one.entry_month) for one in latest.values()}
        found = entries_by_key(self._connection, keys)
        self.load(found.values())
        return {ref: found[one.entry_id] for ref, one in latest.items()}

    # ---- the members of a claim

    def facts(self, claim: str, rows: Sequence[EntryRow]) -> ClaimFacts:
        """The members of a claim whose entries these are, all of them.

        An activity whose lines were all taken back has left the claim if a later revision did it,
        and is retracted if somebody did so by hand. Raises RejectedRecord and BrokenInvariant where
        a fact cannot be told from what is known.
        """
        chosen, left = self._chosen(rows)
        self.load(line.whole for lines in chosen.values() for line in lines)
        by_hand = [one.whole for some in chosen.values() for one in some if one.whole.topic is None]
        homes = self._homes(by_hand)
        said: dict[str, list[tuple[_Line, Statement]]] = {}
        for ref, lines in chosen.items():
            pairs = [
                (one, self.statement(homes[ref] if one.whole.topic is None else one.whole))
                for one in lines
            ]
            said[ref] = pairs
        purchases = [
            statement.event
            for pairs in said.values()
            for line, statement in pairs[:1]
            if isinstance(statement.event, PurchaseOrderEvent) and not line.is_retracted
        ]
        members: list[Member] = []
        for pairs in said.values():
            event = pairs[0][1].event
            if isinstance(event, PurchaseOrderEvent):
                members += [_purchase(line, statement) for line, statement in pairs]
            elif isinstance(event, SupplierDeclarationEvent):
                members.append(_declaration(event, pairs, purchases))
        other = next((one for one in members if one.fact and one.fact.claim.text != claim), None)
        if other is not None:
            raise BrokenInvariant("other_claim", f"{other.key} is not in {claim}")
        return ClaimFacts(members=tuple(members), left=tuple(left))

    def _chosen(self, rows: Sequence[EntryRow]) -> tuple[dict[str, list[_Line]], list[str]]:
        """By activity its lines that stand or were withdrawn; and the activities that left."""
        reversed_ids = {row.reverses_id for row in rows if row.is_reversal}
        plain: dict[str, list[EntryRow]] = defaultdict(list)
        for row in rows:
            if not row.is_reversal:
                plain[row.activity_ref].append(row)
        by_id = {row.entry_id: row for row in rows}
        whole_ids = wholes_of(self._connection, list(by_id))
        missing = {pair for pair in whole_ids.values() if pair[0] not in by_id}
        by_id.update(entries_by_key(self._connection, missing))
        chosen: dict[str, list[_Line]] = {}
        gone = []
        for ref, some in plain.items():
            lines = [
                _Line(whole=by_id[whole_ids.get(row.entry_id, (row.entry_id,))[0]], active=row)
                for row in some
                if row.entry_id not in reversed_ids
            ]
            if lines:
                chosen[ref] = lines
            else:
                gone.append(ref)
        left = []
        latest = latest_revisions(self._connection, gone) if gone else {}
        for ref in gone:
            last = f"{ref}#{latest[ref].revision}"
            withdrawn = [row for row in plain[ref] if row.event_id == last]
            if withdrawn:
                chosen[ref] = [_Line(whole=row, active=None) for row in withdrawn]
            else:
                left.append(ref)
        return chosen, left


@dataclass(frozen=True, kw_only=True)
class _Placed:
    claims: dict[UUID, str | None]
    problems: dict[UUID, CarbonError]


@dataclass(frozen=True, kw_only=True)
class _Line:
    whole: EntryRow
    active: EntryRow | None

    @property
    def is_retracted(self) -> bool:
        return self.active is None or RETRACTED in self.active.flags.split(",")

    def member_line(self, line: EmissionLine) -> MemberLine:
        is_by_hand = self.whole.topic is None
        figure = figure_by_hand(self.whole) if is_by_hand else Figure.of(line)
        return MemberLine(figure=figure, whole=self.whole, active=self.active)


def _purchase(one: _Line, statement: Statement) -> Member:
    event = statement.event
    if not isinstance(event, PurchaseOrderEvent):
        raise BrokenInvariant("other_stream", f"{event.event_id} is no purchase")
    line = statement.line(one.whole.line_no)
    found = facts_of_purchase(event, [line], statement.inventory.now)
    if not found:
        raise BrokenInvariant("no_fact", f"line {one.whole.line_no} of {event.event_id} is no fact")
    member_line = one.member_line(line)
    fact = replace(
        found[0],
        figure=member_line.figure,
        status=RETRACTED if one.is_retracted else found[0].status,
    )
    return Member(fact_id=fact.fact_id, revision=fact.revision, fact=fact, lines=(member_line,))


def _declaration(
    event: SupplierDeclarationEvent,
    pairs: Sequence[tuple[_Line, Statement]],
    purchases: Sequence[PurchaseOrderEvent],
) -> Member:
    statement = pairs[0][1]
    lines = [(one, statement.line(one.whole.line_no)) for one, statement in pairs]
    member_lines = tuple(one.member_line(line) for one, line in lines)
    is_by_hand = any(one.whole.topic is None for one, _ in lines)
    if is_by_hand and len(lines) > 1:
        raise RejectedRecord(
            "corrected_by_hand",
            f"one of {len(lines)} lines of {event.event_id} was corrected by hand",
            field="kgco2e",
            value=event.event_id,
            valid="a later revision of the declaration, or a correction of a single line",
        )
    fact, refusal = _specific(event, [line for _, line in lines], purchases, statement)
    if fact is not None and is_by_hand:
        fact = replace(fact, figure=member_lines[0].figure)
    if fact is not None and any(one.is_retracted for one, _ in lines):
        fact = replace(fact, status=RETRACTED)
    return Member(
        fact_id=event.activity_ref,
        revision=event.revision,
        fact=fact,
        lines=member_lines,
        refusal=refusal,
    )


def _specific(
    event: SupplierDeclarationEvent,
    lines: Sequence[EmissionLine],
    purchases: Sequence[PurchaseOrderEvent],
    statement: Statement,
) -> tuple[Fact | None, str]:
    """The fact of a declaration, or why it is none.

    One that names no purchase, while none known is of its item, is a fact that waits for one.
    """
    inventory = statement.inventory
    try:
        return fact_of_declaration(event, lines, purchases, inventory.now, inventory), ""
    except RejectedRecord as refusal:
        if refusal.code != "purchases_not_named":
            return None, refusal.code
    waiting = replace(event, purchase_order_lines=(UNNAMED_LINE,))
    try:
        return fact_of_declaration(waiting, lines, purchases, inventory.now, inventory), ""
    except RejectedRecord as refusal:
        return None, refusal.code
