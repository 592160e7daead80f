"""Restating: a preview of what other rules would move, and its posting once two people approved.

Belongs here: the two acts, from a target to what is kept of them. Does not: computing the lines
(spark.restate_plan), the rows (carbon_ledger.store.restatements).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from carbon_ledger.errors import RejectedRecord, Unavailable
from carbon_ledger.organisation.base_year import Change
from carbon_ledger.policy import Policy
from carbon_ledger.restatement import (
    Target,
    cause_text,
    check_target,
    digest_of_months,
    person,
)
from carbon_ledger.restatement_effects import (
    DEFAULT_BOUNDARY_KIND,
    Effects,
    base_year_effects,
    changes_since_recalculation,
    report_cells,
    summary_of,
)
from carbon_ledger.settings import Settings
from carbon_ledger.store.read import knowledge_horizon
from carbon_ledger.store.reference import fiscal_years
from carbon_ledger.store.restatement_posting import PostedMonth, planned_month, post_month
from carbon_ledger.store.restatements import (
    PlannedMonth,
    Restatement,
    base_year_totals,
    check_postable,
    event_ids,
    find_restatement,
    ledger_moved,
    line_values,
    list_restatements,
    new_number,
    stated_cells,
    store_preview,
    summary_values,
)
from carbon_ledger.version import code_version
from spark.restate_plan import Numbers, Restater, Scope

GWP_SETS: Final = ("SAR", "AR4", "AR5", "AR6")


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a preview found; `restatement` None: nothing would change, and nothing was kept."""

    restatement: Restatement | None
    summary: Mapping[str, Any]


def preview(
    connection: Any,
    settings: Settings,
    target: Target,
    *,
    first_date: date,
    end_date: date,
    by: str,
    reason: str,
    base_year: int | None = None,
    boundary_kind: str = DEFAULT_BOUNDARY_KIND,
) -> Preview:
    """Compute what `target` changes among entries of local dates [first_date, end_date), and keep
    it; nothing is posted.

    Entries recorded after this moment are not part of it. Raises RejectedRecord `no_name`,
    `no_reason`, `nothing_to_restate`, `unknown_gwp_set`, `known_at_not_final`, `empty_span`.
    """
    name = person(by)
    known_at = knowledge_horizon(connection)
    _check(target, first_date, end_date, reason, known_at)
    scope = Scope(target=target, first_date=first_date, end_date=end_date, known_at=known_at)
    restater = Restater(connection, settings, scope)
    number = new_number(connection)
    cause, numbers = cause_text(number, target), Numbers()
    effects, months = Effects(register=fiscal_years(connection, known_at)), []
    lines: list[tuple[object, ...]] = []
    for month in sorted(restater.months):
        plan = restater.plan(month, cause, numbers)
        effects.refused.update(plan.refused)
        effects.not_recomputable += plan.not_recomputable
        for line in plan.lines:
            effects.add(line.change)
            lines.append(line_values(number, line))
        if plan.lines:
            months.append(plan.planned)
    summary = summary_of(effects)
    summary["report_cells"] = report_cells(effects, stated_cells(connection))
    summary["base_year"] = (
        []
        if base_year is None
        else base_year_effects(
            effects,
            base_year,
            base_year_totals(connection, base_year, known_at),
            Policy().base_year_threshold,
            boundary_kind,
            _earlier_changes(connection, base_year),
        )
    )
    if not months:
        return Preview(restatement=None, summary=summary)
    values = {
        "restatement_id": number,
        "from_releases": ",".join(restater.from_releases),
        "first_date": first_date,
        "end_date": end_date,
        "base_year": base_year,
        "code_version": code_version(),
        "known_at": known_at,
        "entries": effects.entries,
        "delta_kgco2e": effects.delta,
        "digest": digest_of_months({one.month: one.digest for one in months}),
        "previewed_by": name,
        "reason": reason.strip(),
    }
    store_preview(connection, values, target, summary, months, lines)
    return Preview(restatement=find_restatement(connection, number), summary=summary)


def _earlier_changes(connection: Any, base_year: int) -> dict[str, list[Change]]:
    posted = [one for one in list_restatements(connection) if one.status == "posted"]
    summaries = ((one.restatement_id, summary_values(one)) for one in reversed(posted))
    return changes_since_recalculation(summaries, base_year)


def _check(
    target: Target, first_date: date, end_date: date, reason: str, known_at: datetime
) -> None:
    check_target(target)
    if not reason.strip():
        raise RejectedRecord("no_reason", "a restatement says why", field="reason", valid="why")
    if target.gwp_set is not None and target.gwp_set not in GWP_SETS:
        raise RejectedRecord(
            "unknown_gwp_set",
            f"{target.gwp_set[:60]!r} is no set of potentials",
            field="gwp",
            value=target.gwp_set,
            valid=", ".join(GWP_SETS),
        )
    if first_date >= end_date:
        raise RejectedRecord(
            "empty_span",
            f"no day lies from {first_date} to before {end_date}",
            field="to",
            value=end_date,
            valid=f"a day after {first_date}",
        )
    if target.reference_as_of is not None and target.reference_as_of > known_at:
        raise RejectedRecord(
            "known_at_not_final",
            f"what is known at {target.reference_as_of.isoformat()} is not final yet",
            field="reference_as_of",
            value=target.reference_as_of.isoformat(),
            valid=f"{known_at.isoformat()} or earlier",
        )


def post(
    connection: Any,
    settings: Settings,
    restatement_id: int,
    *,
    by: str,
    months: Iterable[date] | None = None,
    report: Callable[[PostedMonth], None] = lambda _: None,
) -> list[PostedMonth]:
    """Post an approved restatement, month by month, each in a transaction of its own.

    Every month is computed anew and posted only if it is what was previewed. Months that are posted
    are left alone, so that a posting that was interrupted goes on. `months`: only these. Raises
    RejectedRecord `already_posted`, `not_approved`, `ledger_moved`, `other_code`.
    """
    name = person(by)
    found = check_postable(connection, restatement_id)
    if found.code_version != code_version():
        raise RejectedRecord(
            "other_code",
            f"R-{restatement_id} was previewed by {found.code_version}, this is {code_version()}",
            field="restatement",
            value=restatement_id,
            valid="a preview by the code that posts it",
        )
    wanted = found.open_months if months is None else tuple(sorted(set(months)))
    scope = Scope(
        target=found.target,
        first_date=found.first_date,
        end_date=found.end_date,
        known_at=found.known_at,
    )
    restater: Restater | None = None
    done = []
    for month in wanted:
        planned = planned_month(connection, restatement_id, month)
        if planned is None:
            continue
        if planned[1]:
            posted = PostedMonth(
                month=month, entries=planned[0].entries, delta_kgco2e=Decimal(0), was_posted=True
            )
        else:
            restater = restater or Restater(connection, settings, scope)
            posted = _post_month(restater, found, planned[0], connection, name)
        report(posted)
        done.append(posted)
    return done


def _post_month(
    restater: Restater, found: Restatement, planned: PlannedMonth, connection: Any, by: str
) -> PostedMonth:
    number = found.restatement_id
    cause = cause_text(number, found.target)
    try:
        plan = restater.plan(planned.month, cause, event_ids(connection, number, planned.month))
    except KeyError as error:
        raise ledger_moved(number, f"an entry of {planned.month:%Y-%m} changes anew") from error
    if plan.planned.digest != planned.digest:
        raise ledger_moved(
            number,
            f"{planned.month:%Y-%m} now gives {plan.planned.entries} lines and "
            f"{plan.planned.delta_kgco2e} kgCO2e, previewed were {planned.entries} and "
            f"{planned.delta_kgco2e}",
        )
    return post_month(connection, number, planned, plan.lines, cause=cause, by=by)


def newest_approved(restatements: Iterable[Restatement]) -> Restatement:
    """The approved restatement with months to post that was previewed last; Unavailable if none."""
    for one in restatements:
        if one.is_approved and one.open_months:
            return one
    raise Unavailable("nothing_approved", "no approved restatement has months to post")
