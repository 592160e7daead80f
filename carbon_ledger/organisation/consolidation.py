"""Lines of an entity in the reporter's view: scaled, moved to category 15, or left out.

Belongs here: what becomes of a line calculated for the whole entity. Does not: who owns whom
(carbon_ledger.organisation.boundary), the lines themselves (the calculators).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final, Literal

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.greenhouse import Gases
from carbon_ledger.lines import Assignment, EmissionLine, line_of
from carbon_ledger.organisation.boundary import (
    BOX_5_1,
    ESRS_46,
    Approach,
    GroupStructure,
    Inclusion,
)
from carbon_ledger.organisation.categories import INVESTMENT_SPECIFIC, METHOD_RANKS
from carbon_ledger.workings import (
    Formula,
    Operand,
    Term,
    Working,
    formula_table,
    posted_fraction,
    scaled,
)

REMAINDER: Final = Formula(
    formula_id="S3-15-REMAINDER",
    text="kgCO2e = (scope 1 and 2 of the investee - what category 1 has of it) x equity share",
    citation="GHG Protocol Scope 3 Standard (2011), box 5.1 and 5.4: categories are mutually "
    "exclusive",
)
FORMULAS: Final = formula_table(REMAINDER)


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """The reporter's lines, and those left out with the reason."""

    lines: tuple[EmissionLine, ...]
    left_out: tuple[tuple[EmissionLine, str], ...]


def view_of(
    activities: Iterable[tuple[str, date, EmissionLine]],
    structure: GroupStructure,
    approach: Approach,
    *,
    investee_scope_2: Literal["location", "market"] = "location",
    value_chain: frozenset[str] = frozenset(),
) -> View:
    """The same activities seen by one approach: (entity, local day, line of the whole entity) each.

    The entity's share multiplies every term of the working, so the view can be recomputed as the
    line could. An entity outside the boundary leaves its scopes 1 and 2 in category 15 at the
    equity share, and no scope 3 (its minimum boundary: Scope 3 Standard, table 5.4); of its two
    scope 2 figures only `investee_scope_2`, since category 15 is one sum. By ESRS an entity of
    `value_chain` (a supplier or customer) counts whole in the category of what it supplies or buys,
    so it is not in category 15 at its share as well. Raises RejectedRecord as
    GroupStructure.inclusion does.
    """
    lines: list[EmissionLine] = []
    left_out: list[tuple[EmissionLine, str]] = []
    for entity_id, on, line in activities:
        inclusion = structure.inclusion(entity_id, on, approach)
        if inclusion.paths:
            lines.append(_by_paths(line, inclusion.paths, line.assignment, inclusion))
        elif approach == "esrs" and entity_id in value_chain:
            left_out.append(
                (line, f"whole in the category of what it supplies or buys ({ESRS_46})")
            )
        elif line.assignment.scope == 2 and line.basis != investee_scope_2:
            left_out.append((line, f"category 15 takes the {investee_scope_2}-based figure"))
        elif inclusion.stake_paths and line.assignment.scope in (1, 2):
            lines.append(
                _by_paths(line, inclusion.stake_paths, _investment(line, inclusion), inclusion)
            )
        else:
            left_out.append((line, inclusion.reason))
    return View(lines=tuple(lines), left_out=tuple(left_out))


def _investment(line: EmissionLine, inclusion: Inclusion) -> Assignment:
    return Assignment(
        scope=3,
        category=15,
        rule="S3-15-UNCONTROLLED",
        reason=f"scope {line.assignment.scope} of {inclusion.entity_id}, which is outside the "
        f"boundary, at the equity share ({BOX_5_1})",
    )


def _by_paths(
    line: EmissionLine,
    paths: Sequence[tuple[Operand, ...]],
    assignment: Assignment,
    inclusion: Inclusion,
) -> EmissionLine:
    if tuple(paths) == ((),) and assignment == line.assignment:
        return line
    working = _through(line.working, paths)
    gas_workings = tuple((gas, _through(one, paths)) for gas, one in line.gas_workings)
    return replace(
        line,
        assignment=assignment,
        working=working,
        kgco2e=working.posted(),
        gas_workings=gas_workings,
        gases=Gases.of({gas: one.posted() for gas, one in gas_workings}),
        flags=tuple(sorted({*line.flags, f"consolidated_{inclusion.approach}"})),
    )


def _through(working: Working, paths: Sequence[tuple[Operand, ...]]) -> Working:
    terms = tuple(one for path in paths for one in scaled(working.terms, path))
    return replace(working, terms=terms)


def investee_remainder(
    investee_lines: Sequence[EmissionLine],
    purchased_kgco2e: Decimal,
    share_path: Sequence[Operand],
) -> EmissionLine:
    """The category 15 line of an associate from which the reporter also buys.

    What the purchases carry stays whole in category 1; only the rest of the associate's scopes 1
    and 2 is shared. `purchased_kgco2e` is the part of category 1 that is the associate's own scope
    1 and 2. The overlap is disclosed by flag. Raises RejectedRecord `overlap_above_total`,
    `negative_quantity`, `mixed_scope_2_bases`.
    """
    own = [line for line in investee_lines if line.assignment.scope in (1, 2)]
    bases = {line.basis for line in own if line.assignment.scope == 2}
    if len(bases) > 1:
        raise RejectedRecord(
            "mixed_scope_2_bases",
            "location-based and market-based figures of the same electricity are both there",
            field="investee_lines",
            value=", ".join(sorted(bases)),
            valid="lines of one basis",
        )
    if purchased_kgco2e < 0:
        raise RejectedRecord(
            "negative_quantity",
            f"{purchased_kgco2e} kgCO2e cannot be what was bought",
            field="purchased_kgco2e",
            value=purchased_kgco2e,
            valid="zero or more",
        )
    terms = [one for line in own for one in line.working.terms]
    total = Working(formula=REMAINDER, terms=tuple(terms)).exact()
    if purchased_kgco2e > total:
        raise RejectedRecord(
            "overlap_above_total",
            f"category 1 has {purchased_kgco2e} kgCO2e of an investee that emits {total}",
            field="purchased_kgco2e",
            value=purchased_kgco2e,
            valid=f"at most {total}",
        )
    flags = [flag for line in own for flag in line.flags]
    if purchased_kgco2e:
        bought = Operand(
            value=purchased_kgco2e,
            unit="kgCO2e",
            label="scope 1 and 2 of the investee that category 1 has already",
        )
        terms.append(Term(operands=(bought,), label="counted in category 1", sign=-1))
        flags.append("overlap_with_category_1")
    sets = {line.gwp_set for line in own}
    return line_of(
        assignment=Assignment(
            scope=3,
            category=15,
            rule="S3-15-REMAINDER",
            reason=f"stake outside the boundary, without what was bought from it ({BOX_5_1})",
        ),
        formula=REMAINDER,
        terms=scaled(terms, share_path),
        basis=bases.pop() if bases else "stated",
        method=INVESTMENT_SPECIFIC,
        rank=METHOD_RANKS[INVESTMENT_SPECIFIC],
        activity_type="investment",
        quantity=posted_fraction(total),
        unit="kgCO2e",
        gwp_set=sets.pop() if len(sets) == 1 else "mixed",
        flags=flags,
    )
