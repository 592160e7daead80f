"""Which scope, and which of the 15 categories, an activity belongs to, and why.

Belongs here: the decision, by activity type and a few facts about it, each with a stable rule id
and the paragraph. Does not: what the categories are (categories), how much of an
entity counts (carbon_ledger.organisation.boundary), figures.

Scope 0 is what enters no total: eliminated, counted elsewhere, or not assigned. A fact that decides
and is not stated is asked for, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.lines import Assignment
from carbon_ledger.organisation.categories import CATEGORIES, TABLE, category_of
from carbon_ledger.organisation.leases import treatment
from carbon_ledger.policy import Policy

CORPORATE: Final = "GHG Protocol Corporate Standard (2004), chapter 4"
SCOPE_2: Final = "GHG Protocol Scope 2 Guidance (2015), chapter 5"
SCOPE_3: Final = "GHG Protocol Scope 3 Standard (2011), chapter 5"

FACTS: Final[dict[str, tuple[str, ...]]] = {
    "held_as": ("own", "leased_in", "leased_out", "franchise", "investee"),
    "lease": ("finance", "operating"),
    "capitalised": ("yes", "no"),
    "intra_group": ("yes", "no"),
    "account": ("goods", "services", "energy", "fuel", "freight", "travel", "waste"),
    "paid_by": ("reporter", "supplier", "customer"),
    "leg": ("inbound", "outbound", "between_own_sites", "between_suppliers", "after_sale"),
    "operator": ("own", "third_party"),
    "energy": ("fuel", "electricity"),
    "purpose": ("consumed", "resold"),
    "charged_at": ("own_metered_site", "own_unmetered_site", "public"),
    "transfer": ("sold", "leased"),
    "phase": ("direct", "indirect"),
    "reporter_is": ("franchisor", "franchisee"),
    "controlled": ("yes", "no"),
}

UNASSIGNED: Final = Assignment(
    scope=0,
    category=None,
    rule="UNASSIGNED",
    reason="neither a scope nor an activity type is stated; the figure enters no total",
)


class _Facts:
    """The facts stated of one activity; asking for one that decides and is missing refuses."""

    def __init__(self, activity_type: str, stated: Mapping[str, object], known: tuple[str, ...]):
        self._activity_type = activity_type
        self._stated = stated
        for name, value in stated.items():
            if name not in known:
                raise RejectedRecord(
                    "unknown_fact",
                    f"{str(name)[:60]!r} decides nothing about {activity_type}",
                    field=f"facts.{name}",
                    value=name,
                    valid=", ".join(known) or "no facts",
                )
            word = _word(value)
            if word not in FACTS[name]:
                raise RejectedRecord(
                    "unknown_fact_value",
                    f"{name}: {str(value)[:60]!r} is none of its values",
                    field=f"facts.{name}",
                    value=value,
                    valid=", ".join(FACTS[name]),
                )

    def get(self, name: str) -> str | None:
        value = self._stated.get(name)
        return None if value is None else _word(value)

    def need(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise RejectedRecord(
                "fact_missing",
                f"{self._activity_type} cannot be classified without {name}",
                field=f"facts.{name}",
                valid=", ".join(FACTS[name]),
            )
        return value


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _assigned(scope: int, category: int | None, rule: str, reason: str) -> Assignment:
    return Assignment(scope=scope, category=category, rule=rule, reason=reason)


def _in_category(number: int, rule: str, why: str) -> Assignment:
    name = CATEGORIES[number].name
    return _assigned(3, number, rule, f"{why}: category {number}, {name} ({TABLE})")


def _held(facts: _Facts, policy: Policy, own: Assignment) -> Assignment:
    """An emission at an asset: the company's own scope, or the category its holding puts it in."""
    held_as = facts.need("held_as")
    if held_as == "own":
        return own
    if held_as == "franchise":
        return _in_category(14, "S3-14-FRANCHISEE", "operated by a franchisee, franchisor reports")
    if held_as == "investee":
        return _in_category(15, "S3-15-INVESTEE", "operated by an investee outside the boundary")
    role = "lessee" if held_as == "leased_in" else "lessor"
    lease = treatment(role, facts.need("lease"), policy.consolidation)
    if lease.is_own:
        return _assigned(own.scope, None, lease.rule, f"{lease.reason}; {own.reason}")
    return _assigned(3, lease.category, lease.rule, lease.reason)


def _direct(kind: str) -> Callable[[_Facts, Policy], Assignment]:
    words = kind.replace("_", " ")
    own = _assigned(1, None, f"S1-{kind.split('_')[0].upper()}", f"{words}: scope 1 ({CORPORATE})")
    return lambda facts, policy: _held(facts, policy, own)


def _energy(kind: str) -> Callable[[_Facts, Policy], Assignment]:
    own = _assigned(
        2, None, f"S2-{kind.upper()}", f"purchased {kind} that is consumed: scope 2 ({SCOPE_2})"
    )

    def rule(facts: _Facts, policy: Policy) -> Assignment:
        if facts.get("purpose") == "resold":
            return _in_category(3, "S3-3-D-RESOLD", f"purchased {kind} sold on to end users")
        return _held(facts, policy, own)

    return rule


def _purchase(facts: _Facts, policy: Policy) -> Assignment:
    if facts.get("intra_group") == "yes":
        return _assigned(
            0,
            None,
            "INTRA-GROUP",
            "bought inside the group: its emissions are in the seller's scope 1 and 2, so the "
            "purchase is eliminated (GHG Protocol Scope 3 Standard, 9.6)",
        )
    account = facts.get("account")
    if account in ("energy", "fuel", "freight", "travel", "waste"):
        return _assigned(
            0,
            None,
            f"ROUTED-{account.upper()}",
            f"{account} is counted from its own activity data; the purchase is evidence "
            f"({SCOPE_3}: categories are mutually exclusive)",
        )
    if facts.need("capitalised") == "yes":
        return _in_category(2, "S3-2-CAPITALISED", "capitalised by the company's financial policy")
    return _in_category(1, "S3-1-PURCHASE", "purchased and not capitalised")


def _transport(facts: _Facts, policy: Policy) -> Assignment:
    if facts.need("operator") == "own":
        return _own_vehicle(facts)
    leg, paid_by = facts.need("leg"), facts.need("paid_by")
    if paid_by == "reporter":
        return _in_category(4, "S3-4-PAYER", f"{leg} transport or storage the company pays")
    if leg == "inbound":
        return _in_category(4, "S3-4-INBOUND", "from the tier-1 supplier to the company")
    if leg == "between_own_sites":
        return _in_category(4, "S3-4-INTERSITE", "between the company's own sites, by others")
    if leg == "between_suppliers":
        return _in_category(1, "S3-1-TIER-2", "between suppliers, before the tier-1 gate")
    if paid_by == "customer":
        return _in_category(9, "S3-9-PAYER", "sold goods whose transport the company does not pay")
    raise RejectedRecord(
        "facts_contradict",
        f"a supplier does not pay the {leg} transport of sold goods",
        field="facts.paid_by",
        value=paid_by,
        valid="reporter, customer",
    )


def _own_vehicle(facts: _Facts) -> Assignment:
    if facts.need("energy") == "electricity":
        return _assigned(
            2, None, "S2-VEHICLE", f"electricity for controlled vehicles: scope 2 ({SCOPE_2})"
        )
    return _assigned(1, None, "S1-MOBILE", f"fuel in controlled vehicles: scope 1 ({CORPORATE})")


def _by_operator(category: int, rule: str, why: str) -> Callable[[_Facts, Policy], Assignment]:
    def decide(facts: _Facts, policy: Policy) -> Assignment:
        if facts.need("operator") == "own":
            return _own_vehicle(facts)
        return _in_category(category, rule, why)

    return decide


def _waste(facts: _Facts, policy: Policy) -> Assignment:
    if facts.need("operator") == "own":
        return _assigned(
            1, None, "S1-WASTE", f"treated in the company's own facility: scope 1 ({CORPORATE})"
        )
    return _in_category(5, "S3-5-TREATMENT", "waste of own operations, treated by others")


def _charging(facts: _Facts, policy: Policy) -> Assignment:
    if facts.need("charged_at") == "own_metered_site":
        return _assigned(
            0,
            None,
            "COUNTED-BY-METER",
            f"charged behind a meter whose reading has it already ({SCOPE_2}: each kWh once)",
        )
    return _assigned(
        2, None, "S2-CHARGING", f"electricity bought for vehicles: scope 2 ({SCOPE_2})"
    )


def _use_of_products(facts: _Facts, policy: Policy) -> Assignment:
    if facts.need("transfer") == "leased":
        lease = treatment("lessor", facts.need("lease"), policy.consolidation)
        if lease.is_own:
            return _assigned(_own_scope(facts), None, lease.rule, lease.reason)
        return _assigned(3, lease.category, lease.rule, lease.reason)
    if facts.need("phase") == "indirect":
        return _in_category(11, "S3-11-INDIRECT", "indirect use phase of sold products (optional)")
    return _in_category(11, "S3-11-DIRECT", "direct use phase of sold products over their life")


def _franchise(facts: _Facts, policy: Policy) -> Assignment:
    if facts.need("reporter_is") == "franchisor":
        return _in_category(14, "S3-14-FRANCHISOR", "operated by franchisees")
    return _assigned(
        _own_scope(facts), None, "FRANCHISEE", f"the franchisee's own operations ({CORPORATE})"
    )


def _own_scope(facts: _Facts) -> int:
    return 2 if facts.need("energy") == "electricity" else 1


def _investment(facts: _Facts, policy: Policy) -> Assignment:
    if facts.need("controlled") == "yes":
        raise RejectedRecord(
            "facts_contradict",
            "what is controlled is consolidated activity by activity, not an investment",
            field="facts.controlled",
            value="yes",
            valid="no; or the activities of the entity itself",
        )
    return _in_category(15, "S3-15-SHARE", "stake outside the boundary, at its share")


def _always(number: int, rule: str, why: str) -> Callable[[_Facts, Policy], Assignment]:
    return lambda facts, policy: _in_category(number, rule, why)


def _own_generation(facts: _Facts, policy: Policy) -> Assignment:
    return _assigned(
        2,
        None,
        "S2-ON-SITE",
        "consumed from own generation without fuel: no purchased energy; scope 2 shows it with "
        f"zero ({SCOPE_2})",
    )


@dataclass(frozen=True, slots=True)
class _Type:
    decide: Callable[[_Facts, Policy], Assignment]
    facts: tuple[str, ...] = ()


_ASSET: Final = ("held_as", "lease")
_VEHICLE: Final = ("operator", "energy")

ACTIVITY_TYPES: Final[dict[str, _Type]] = {
    "stationary_combustion": _Type(_direct("stationary_combustion"), _ASSET),
    "mobile_combustion": _Type(_direct("mobile_combustion"), _ASSET),
    "process_emission": _Type(_direct("process_emission"), _ASSET),
    "fugitive_emission": _Type(_direct("fugitive_emission"), _ASSET),
    "purchased_electricity": _Type(_energy("electricity"), (*_ASSET, "purpose")),
    "purchased_heat": _Type(_energy("heat"), (*_ASSET, "purpose")),
    "purchased_steam": _Type(_energy("steam"), (*_ASSET, "purpose")),
    "purchased_cooling": _Type(_energy("cooling"), (*_ASSET, "purpose")),
    "on_site_generation": _Type(_own_generation),
    "vehicle_charging": _Type(_charging, ("charged_at",)),
    "purchase": _Type(_purchase, ("capitalised", "intra_group", "account")),
    "fuel_upstream": _Type(_always(3, "S3-3-A", "upstream of purchased fuels")),
    "power_upstream": _Type(_always(3, "S3-3-B", "upstream of purchased electricity")),
    "grid_losses": _Type(_always(3, "S3-3-C", "transmission and distribution losses")),
    "resold_power": _Type(_always(3, "S3-3-D-RESOLD", "generation of power that is sold on")),
    "transport": _Type(_transport, ("operator", "energy", "leg", "paid_by")),
    "storage": _Type(_transport, ("operator", "energy", "leg", "paid_by")),
    "waste_treatment": _Type(_waste, ("operator",)),
    "waste_transport": _Type(
        _by_operator(5, "S3-5-TRANSPORT", "transport of waste (optional)"), _VEHICLE
    ),
    "business_travel": _Type(
        _by_operator(6, "S3-6-TRAVEL", "travel for business in vehicles of others"), _VEHICLE
    ),
    "hotel_stay": _Type(_always(6, "S3-6-HOTEL", "nights on business (optional)")),
    "employee_commuting": _Type(
        _by_operator(7, "S3-7-COMMUTING", "between home and work in vehicles of others"), _VEHICLE
    ),
    "telework": _Type(_always(7, "S3-7-TELEWORK", "work from home (optional)")),
    "processing_of_sold_products": _Type(
        _always(10, "S3-10-PROCESSING", "intermediate products processed by others")
    ),
    "use_of_sold_products": _Type(_use_of_products, ("transfer", "phase", "lease", "energy")),
    "end_of_life_of_sold_products": _Type(
        _always(12, "S3-12-END-OF-LIFE", "treatment of sold products at the end of their life")
    ),
    "franchise_operations": _Type(_franchise, ("reporter_is", "energy")),
    "investment": _Type(_investment, ("controlled",)),
}

# Beyond the minimum boundary: may be left out, and has to be shown as optional where it is in.
OPTIONAL_RULES: Final = frozenset(
    {"S3-5-TRANSPORT", "S3-6-HOTEL", "S3-7-TELEWORK", "S3-11-INDIRECT"}
)
NO_EMISSIONS: Final = ("offset", "carbon_credit", "removal", "allowance", "avoided_emissions")
_FLAGS: Final = {
    "UNASSIGNED": "scope_unassigned",
    "INTRA-GROUP": "intra_group_eliminated",
    "COUNTED-BY-METER": "counted_by_meter",
}


def assign(activity_type: str, facts: Mapping[str, object], policy: Policy) -> Assignment:
    """The scope and category of an activity, with the rule that decided and its reason.

    `facts` are names and values of FACTS. Raises RejectedRecord `unknown_activity_type`,
    `not_an_emission` (offsets, removals, allowances enter no scope: Scope 3 Standard, 11.1; ESRS E1
    AR 43(d)), `unknown_fact`, `unknown_fact_value`, `fact_missing`, `facts_contradict`.
    """
    if activity_type in NO_EMISSIONS:
        raise RejectedRecord(
            "not_an_emission",
            f"{activity_type} never enters scope 1, 2 or 3",
            field="activity_type",
            value=activity_type,
            valid="its own table beside the inventory",
        )
    found = ACTIVITY_TYPES.get(activity_type) if isinstance(activity_type, str) else None
    if found is None:
        raise RejectedRecord(
            "unknown_activity_type",
            f"{str(activity_type)[:60]!r} is no activity type",
            field="activity_type",
            value=activity_type,
            valid=", ".join(ACTIVITY_TYPES),
        )
    return found.decide(_Facts(activity_type, facts, found.facts), policy)


def stated(scope: object, category: object = None) -> Assignment:
    """The assignment an activity states itself, if it can be one.

    Raises RejectedRecord `unknown_scope`, `category_missing`, `category_not_applicable`,
    `unknown_category`.
    """
    if isinstance(scope, bool) or not isinstance(scope, int) or scope not in (1, 2, 3):
        raise RejectedRecord(
            "unknown_scope",
            f"{str(scope)[:60]!r} is no scope",
            field="scope",
            value=scope,
            valid="1, 2, 3",
        )
    if scope != 3:
        if category is not None:
            raise RejectedRecord(
                "category_not_applicable",
                f"scope {scope} has no categories",
                field="category",
                value=category,
                valid="no category, or scope 3",
            )
        return _assigned(scope, None, "STATED", f"scope {scope} as the activity states")
    if category is None:
        raise RejectedRecord(
            "category_missing",
            "scope 3 needs one of its categories",
            field="category",
            valid="; ".join(f"{one.number} {one.name}" for one in CATEGORIES.values()),
        )
    number = category_of(category).number
    return _in_category(number, "STATED", "as the activity states")


def remarks(assignment: Assignment) -> tuple[str, ...]:
    """Flags that follow from the assignment alone."""
    flags = [_FLAGS[assignment.rule]] if assignment.rule in _FLAGS else []
    if assignment.rule in OPTIONAL_RULES:
        flags.append("optional_boundary")
    if assignment.rule.startswith("ROUTED-"):
        flags.append("counted_by_other_stream")
    return tuple(flags)
