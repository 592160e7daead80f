"""What must come of the demo company's events, worked out apart from the ledger.

Belongs here: an oracle for exactly the activities of pipeline.sources.company, written from
docs/accounting.md, with its own units and its own arithmetic (fractions, rounded once, half to
even, to 12 decimals). Does not: published figures (scripts.demo_published), anything of the
ledger's code; a test holds this module to the standard library.

It knows nothing of lineage or data quality. Where a rule of the ledger changes on purpose, this
file has to be changed by hand too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from scripts.demo_published import Row, Tables, TruthError

SCALE = Decimal("0.000000000001")
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
# Kilometres driven for one of the shortest way, by mode (docs/accounting.md, freight).
DETOUR = {"road": Fraction("1.05"), "rail": Fraction(1)}
KG_PER = {"kg": Fraction(1), "t": Fraction(1000)}
KWH_PER = {"kWh": Fraction(1), "MWh": Fraction(1000)}
# What the event lines of the company do not say, so that nobody looks for it there.
NOT_COVERED = (
    "scope 2 market-based and category 3 of metered energy, which the ledger posts per period: "
    "only `reports` has them",
)

Fields = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A figure: exact kgCO2e as calculated, and the share of it that stands in the end.

    `activity` is what was done, as the ledger calls it, and `amount` how much of it; `masses` are
    kg of gases, exact. `country` is ZZ where nobody says.
    """

    scope: int
    category: int | None
    basis: str
    exact: Fraction
    year: int
    share: Fraction = Fraction(1)
    site: str = ""
    country: str = "ZZ"
    activity: str = ""
    amount: Fraction = Fraction(0)
    day: str = ""
    is_primary: bool = False
    is_substitute: bool = False
    instrument: str = ""
    masses: Mapping[str, Fraction] = field(default_factory=dict)


@dataclass(kw_only=True)
class Told:
    """What an event says, by its natural key and revision."""

    stream: str
    lines: list[Line]
    ref: str
    revision: int = 0
    is_passed_over: bool = False


def posted(exact: Fraction) -> Decimal:
    """12 decimals, half to even."""
    scaled = exact * 10**12
    return Decimal(round(scaled)).scaleb(-12, _WIDE)


def _text(number: Decimal) -> str:
    return f"{number:f}"


# ---- one event


@dataclass(kw_only=True)
class Oracle:
    """The rules, with the company's reference data as rows of text by kind.

    `restated` are location-based figures by country and year, in place of published ones.
    """

    reference: Mapping[str, Sequence[Row]]
    restated: Sequence[Row] = ()
    tables: Tables = field(default_factory=Tables)

    def told(self, stream: str, fields: Fields) -> tuple[str, Told]:
        """The event's id, and what it says. Raises TruthError where there is no rule for it."""
        rule = {
            "iot_energy": self._reading,
            "transport": self._trip,
            "logistics": self._leg,
            "procurement": self._document,
            "supplier": self._declaration,
        }[stream]
        ref, lines = rule(fields)
        revision = int(fields.get("revision") or 0)
        found = Told(stream=stream, lines=lines, ref=ref, revision=revision)
        return f"{ref}#{revision}", found

    def row(self, kind: str, **wanted: str | None) -> Row | None:
        """The first record of a kind with these values."""
        for row in self.reference[kind]:
            if all(row.get(name) == value for name, value in wanted.items()):
                return row
        return None

    def _year(self, fields: Fields) -> int:
        """The year of the site's own calendar in which it began; of UTC where no site is named."""
        return int(self._day(fields)[:4])

    def _day(self, fields: Fields) -> str:
        """The day of that calendar."""
        begins = datetime.fromisoformat(fields["timestamp"].replace("Z", "+00:00"))
        site = self.row("site", facility_id=fields.get("facility_id"))
        zone = UTC if site is None else ZoneInfo(site["time_zone"])
        return begins.astimezone(zone).date().isoformat()

    def _reading(self, fields: Fields) -> tuple[str, list[Line]]:
        year, country, region = self._year(fields), fields["country_iso2"], fields.get("region")
        kind, kwh = fields.get("meter_kind", "electricity"), Fraction(fields["energy_kwh"])
        exact, masses, is_substitute = Fraction(0), {}, False
        scope, basis, activity, amount = 2, "location", "electricity:grid", kwh
        if kind == "electricity":
            row = self.tables.grid_row(country, region, year)
            exact = kwh * self.grid(country, region, year)
            is_lifecycle = row["boundary"] == "lifecycle_generation"
            is_substitute = is_lifecycle and not self.is_restated(country, year)
        elif kind == "solar":
            activity = "self_generated:solar"
        elif kind == "gas" and fields["heating_value"] == "gross":
            scope, basis, activity = 1, "combustion", "fuel:natural_gas"
            amount = Fraction(fields["quantity"]) * KWH_PER[fields["unit"]]
            row = self.tables.fuel_row("Natural gas", "combustion", "kwh_gross", year)
            exact = amount * self.tables.weighed(row, "unit")
            masses = self.tables.masses(amount, row, "unit")
        else:
            raise TruthError(f"no rule for a meter of {kind}")
        line = Line(
            **self._place(fields, year),
            scope=scope,
            category=None,
            basis=basis,
            exact=exact,
            activity=activity,
            amount=amount,
            day=self._day(fields),
            is_primary=True,
            is_substitute=is_substitute,
            masses=masses,
        )
        return f"iot:{fields['sensor_id']}@{fields['timestamp']}", [line]

    def _place(self, fields: Fields, year: int) -> dict[str, Any]:
        site, country = fields.get("facility_id") or "", fields.get("country_iso2", "ZZ")
        return {"year": year, "site": site, "country": country}

    def grid(self, country: str, region: str | None, year: int) -> Fraction:
        """Location-based kgCO2e per kWh: what was restated, else what is published."""
        restated = self._restated(country, year)
        return self.tables.grid(country, region, year) if restated is None else restated

    def is_restated(self, country: str, year: int) -> bool:
        """Whether the grid's figure of the year is not the published one."""
        return self._restated(country, year) is not None

    def _restated(self, country: str, year: int) -> Fraction | None:
        for row in self.restated:
            if (row["country_iso2"], row["year"]) == (country, str(year)):
                return Fraction(row["kgco2e_per_kwh"])
        return None

    def _trip(self, fields: Fields) -> tuple[str, list[Line]]:
        ref = f"vehicle:{fields['vehicle_id']}@{fields['trip_id']}/0"
        year = self._year(fields)
        litres = Fraction(fields["fuel_litres"])
        blend = "Diesel (average biofuel blend)"
        row = self.tables.fuel_row(blend, "combustion", "litre", year)
        burnt = litres * self.tables.weighed(row, "unit")
        above = litres * self.tables.fuel(blend, "wtt", "litre", year)
        vehicle = self.row("vehicle", vehicle_id=fields["vehicle_id"])
        if vehicle is None:
            raise TruthError(f"no vehicle {fields['vehicle_id']}")
        masses = self.tables.masses(litres, row, "unit") | {
            "biogenic": litres * self._biogenic(blend, year)
        }
        said = {**self._place(fields, year), "activity": "vehicle_fuel:diesel_blend"}
        if vehicle["ownership"] == "carrier":
            # What the carrier burnt is known of this very trip.
            whole = Line(
                **said,
                scope=3,
                category=4,
                basis="wtw",
                exact=burnt + above,
                is_primary=True,
                masses={"biogenic": masses["biogenic"]},
            )
            return ref, [whole]
        # Leased and operated by the company is as its own under operational control.
        return ref, [
            Line(
                **said,
                scope=1,
                category=None,
                basis="combustion",
                exact=burnt,
                amount=litres,
                masses=masses,
            ),
            Line(**said, scope=3, category=3, basis="wtt", exact=above),
        ]

    def _biogenic(self, fuel: str, year: int) -> Fraction:
        """kg of biogenic CO2 per litre of a blend, beside the scopes."""
        row = self.tables.fuel_row(fuel, "outside_of_scopes", "litre", year)
        return Fraction(row["biogenic_kg_co2_per_unit"])

    def _leg(self, fields: Fields) -> tuple[str, list[Line]]:
        ref = f"shipment:{fields['shipment_id']}/{fields['leg_id']}"
        year, mode = self._year(fields), fields["mode"]
        category = {"reporter": 4, "customer": 9}[fields["payer"]]
        # A leg is told of where it began.
        said = self._place({**fields, "country_iso2": fields["origin"][:2]}, year)
        if fields["status"] != "delivered":
            nothing = Line(
                **said, scope=3, category=category, basis="informational", exact=Fraction(0)
            )
            return ref, [nothing]
        tonnes = Fraction(fields["mass_kg"]) / 1000
        tkm = tonnes * Fraction(fields["distance_km"]) * DETOUR[mode]
        intensity = self.tables.freight(mode, "ttw", year) + self.tables.freight(mode, "wtt", year)
        line = Line(**said, scope=3, category=category, basis="wtw", exact=tkm * intensity)
        return ref, [line]

    def _document(self, fields: Fields) -> tuple[str, list[Line]]:
        ref = f"purchase:{fields['document_id']}/{fields['line_no']}"
        year = self._year(fields)
        category = 2 if fields["is_capital"] else 1
        said = self._place({"country_iso2": fields["supplier_country_iso2"]}, year)
        if fields["document_kind"] == "purchase_order":
            promise = Line(**said, scope=3, category=category, basis="evidence", exact=Fraction(0))
            return ref, [promise]
        # A credit note is priced as what it takes back, which is of the same month here.
        factor, price_year = self.tables.spend(self._sector(fields["classification"]))
        spent = Fraction(fields["amount_net"])
        if fields["currency"] != "USD":
            spent *= self.tables.dollars(fields["currency"], year)
        exact = spent * self.tables.prices(price_year) / self.tables.prices(year) * factor
        line = Line(**said, scope=3, category=category, basis="eeio_purchaser", exact=exact)
        return ref, [line]

    def _sector(self, classification: str) -> str:
        system, _, code = classification.partition(":")
        if system == "naics":
            return code
        row = self.row("spend_class", system=system, code=code)
        if row is None:
            raise TruthError(f"no sector for {classification}")
        return row["naics_code"]

    def _declaration(self, fields: Fields) -> tuple[str, list[Line]]:
        bought = Fraction(fields["quantity"]) * KG_PER[fields["quantity_unit"]]
        exact = bought / KG_PER[fields["unit"]] * Fraction(fields["kgco2e_per_unit"])
        ref = f"supplier:{fields['supplier_id']}@{fields['declaration_id']}"
        # A declaration says no country: it is its supplier's.
        supplier = self.row("supplier", supplier_id=fields["supplier_id"])
        where = {} if supplier is None else {"country_iso2": supplier["country_iso2"]}
        said = self._place(where, self._year(fields))
        line = Line(**said, scope=3, category=1, basis="supplier", exact=exact, is_primary=True)
        return ref, [line]


# ---- all of them together


def truth_of(
    activities: Iterable[tuple[str, Fields]],
    reference: Mapping[str, Sequence[Row]],
    restated: Sequence[Row] = (),
) -> dict[str, Any]:
    """Lines by event id, totals by year, scope, category and basis, and the figures of E1-6.

    `restated`: columns country_iso2, year, kgco2e_per_kwh of a factor restatement that has not been
    posted; what it would move is told by year.
    """
    known = list(activities)
    told = told_of(known, reference)
    totals: dict[tuple[int, int, int, str], Decimal] = defaultdict(Decimal)
    for one in told.values():
        for line in one.lines:
            key = (line.year, line.scope, line.category or 0, line.basis)
            totals[key] = _WIDE.add(totals[key], _standing(one, line))
    return {
        "events": {event_id: _event_as_json(told[event_id]) for event_id in sorted(told)},
        "totals": [
            {
                "year": year,
                "scope": scope,
                "category": category or None,
                "basis": basis,
                "kgco2e": _text(kg),
            }
            for (year, scope, category, basis), kg in sorted(totals.items())
        ],
        "e1_6": e1_6_of(totals),
        "restatement": _moved(told, known, Oracle(reference=reference, restated=restated)),
        "not_covered": list(NOT_COVERED),
    }


def told_of(
    known: Sequence[tuple[str, Fields]],
    reference: Mapping[str, Sequence[Row]],
    restated: Sequence[Row] = (),
) -> dict[str, Told]:
    """By event id what each activity says, with what the others leave of it."""
    oracle = Oracle(reference=reference, restated=restated)
    told = dict(oracle.told(stream, fields) for stream, fields in known)
    if len(told) != len(known):
        raise TruthError("two activities have one id")
    _pass_over(told)
    _supersede(told, known, oracle)
    return told


def standing_lines(told: Mapping[str, Told]) -> list[Line]:
    """The lines that count, those that a supplier's figure covers whole among them."""
    return [line for one in told.values() if not one.is_passed_over for line in one.lines]


def _moved(
    told: Mapping[str, Told], known: Sequence[tuple[str, Fields]], restated: Oracle
) -> dict[str, dict[str, Any]]:
    """By year how many readings a factor restatement changes, and by how much."""
    moved: dict[int, list[Decimal]] = defaultdict(list)
    for stream, fields in known:
        if stream != "iot_energy":
            continue
        event_id, after = restated.told(stream, fields)
        for old, new in zip(told[event_id].lines, after.lines, strict=True):
            if old.exact != new.exact:
                moved[old.year].append(_WIDE.subtract(posted(new.exact), posted(old.exact)))
    return {
        str(year): {"entries": len(deltas), "delta_kgco2e": _text(sum(deltas, Decimal(0)))}
        for year, deltas in sorted(moved.items())
    }


def _pass_over(told: Mapping[str, Told]) -> None:
    """A later revision of an activity takes the place of what was said before."""
    latest: dict[str, int] = {}
    for one in told.values():
        latest[one.ref] = max(one.revision, latest.get(one.ref, 0))
    for one in told.values():
        one.is_passed_over = one.revision < latest[one.ref]


def _supersede(
    told: Mapping[str, Told], known: Sequence[tuple[str, Fields]], oracle: Oracle
) -> None:
    """A supplier's footprint stands whole; of the spend on its item only what it leaves uncovered.

    By entity, supplier, item and calendar month: share = 1 - declared / bought, by mass.
    """
    bought: dict[tuple[str, ...], Fraction] = defaultdict(Fraction)
    declared: dict[tuple[str, ...], Fraction] = defaultdict(Fraction)
    for stream, fields in known:
        if stream == "procurement" and _is_of_item(fields):
            bought[_lot(fields, fields["item_id"])] += _kg(fields["quantity"], fields["unit"])
        elif stream == "supplier" and not told[oracle.told(stream, fields)[0]].is_passed_over:
            product = {name: fields[name] for name in ("supplier_id", "product_id")}
            item = oracle.row("supplier_item", **product)
            if item is None:
                raise TruthError(f"no item for {product}")
            lot = _lot(fields, item["item_id"])
            declared[lot] += _kg(fields["quantity"], fields["quantity_unit"])
    for stream, fields in known:
        if stream == "procurement" and _is_of_item(fields):
            lot = _lot(fields, fields["item_id"])
            share = max(Fraction(0), 1 - declared[lot] / bought[lot])
            one = told[oracle.told(stream, fields)[0]]
            one.lines = [replace(line, share=share) for line in one.lines]


def _is_of_item(fields: Fields) -> bool:
    return fields["document_kind"] == "invoice" and fields.get("item_id") is not None


def _lot(fields: Fields, item_id: str) -> tuple[str, ...]:
    return fields["entity_id"], fields["supplier_id"], item_id, fields["timestamp"][:7]


def _kg(quantity: str, unit: str) -> Fraction:
    return Fraction(quantity) * KG_PER[unit]


def _standing(one: Told, line: Line) -> Decimal:
    return Decimal(0) if one.is_passed_over else posted(line.exact * line.share)


def _event_as_json(one: Told) -> dict[str, Any]:
    return {
        "stream": one.stream,
        "is_passed_over": one.is_passed_over,
        "lines": [
            {
                "line_no": number,
                "year": line.year,
                "scope": line.scope,
                "category": line.category,
                "basis": line.basis,
                "kgco2e": _text(posted(line.exact)),
                "standing_kgco2e": _text(_standing(one, line)),
            }
            for number, line in enumerate(one.lines, start=1)
        ],
    }


def e1_6_of(totals: Mapping[tuple[int, int, int, str], Decimal]) -> dict[str, dict[str, str]]:
    """By year the gross figures of ESRS E1-6 that event lines have, location-based; kgCO2e."""
    found: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for (year, scope, category, _), kg in totals.items():
        names = ["total_location", "scope_2_location" if scope == 2 else f"scope_{scope}"]
        if category:
            names.append(f"scope_3_category_{category:02}")
        for name in names:
            found[year][name] = _WIDE.add(found[year][name], kg)
    return {
        str(year): {name: _text(kg) for name, kg in sorted(found[year].items())}
        for year in sorted(found)
    }
