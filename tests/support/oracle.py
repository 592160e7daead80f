"""What must become of the records a test sent, worked out without the pipeline's code.

Belongs here: the generator's own log and its exact sums, in integers and fractions. Does not: any
import from the project: an oracle that shares code with what it judges would share its faults.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

SCALE = 12


def fraction_of(text: str) -> Fraction:
    """The number a decimal text denotes, exactly."""
    return Fraction(text)


def half_even(value: Fraction, decimals: int = SCALE) -> Fraction:
    """`value` rounded to so many decimals, a tie to the even neighbour (`round` of a Fraction)."""
    return Fraction(round(value * 10**decimals), 10**decimals)


def decimal_text(value: Fraction, decimals: int = SCALE) -> str:
    """A value that has at most `decimals` decimals, written with exactly that many."""
    scaled = value * 10**decimals
    if scaled.denominator != 1:
        raise ValueError(f"{value} has more than {decimals} decimals")
    digits = f"{abs(scaled.numerator):0{decimals + 1}}"
    sign = "-" if scaled < 0 else ""
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else f"{sign}{digits}"


def kgco2e(kwh: str, factor: str) -> Fraction:
    """The posted figure of a reading: kWh x kgCO2e per kWh, rounded once, half-even, to 12."""
    return half_even(fraction_of(kwh) * fraction_of(factor))


# IPCC AR6, table 7.15: kgCO2e per kg over 100 years.
METHANE_AR6, NITROUS_OXIDE_AR6 = Fraction("27.9"), Fraction(273)
# What a factor published: CO2e, kg of CO2, CH4 and N2O per unit, and the set in its CO2e.
FACTOR_COLUMNS = (
    "f.kgco2e_per_unit::text, f.kg_co2_per_unit::text, f.kg_ch4_per_unit::text,"
    " f.kg_n2o_per_unit::text, f.gwp_set"
)


def weighed(
    co2e: str, co2: str | None, methane: str | None, nitrous_oxide: str | None, gwp_set: str
) -> str:
    """kgCO2e per unit in AR6: as published, unless it was made with another set and its three gases
    are known; then made from them.
    """
    if gwp_set in ("AR6", "not_applicable") or co2 is None:
        return co2e
    if methane is None or nitrous_oxide is None:
        return co2e
    total = fraction_of(co2)
    total += fraction_of(methane) * METHANE_AR6 + fraction_of(nitrous_oxide) * NITROUS_OXIDE_AR6
    return decimal_text(total, 24)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One good record as it was sent. `payload`: whatever is equal exactly when the bytes are."""

    sensor_id: str
    timestamp_micros: int
    revision: int
    country_iso2: str
    kwh: str
    payload: object

    @property
    def activity(self) -> tuple[str, int]:
        return (self.sensor_id, self.timestamp_micros)


@dataclass(kw_only=True)
class Oracle:
    """The record of what was sent, in order per Kafka key, and what must have come of it.

    A record is ledgered the first time its activity and revision are seen, a duplicate if it comes
    again unchanged, quarantined if it comes again changed, dead-lettered if it was made malformed.
    Revisions of an activity must be sent in rising order.
    """

    fates: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    _first: dict[tuple[tuple[str, int], int], Sent] = field(default_factory=dict)
    _standing: dict[tuple[str, int], Sent] = field(default_factory=dict)

    def sent(self, record: Sent) -> str:
        """Notes a well-formed record; its fate."""
        identity = (record.activity, record.revision)
        earlier = self._first.get(identity)
        if earlier is None:
            standing = self._standing.get(record.activity)
            if standing is not None and standing.revision > record.revision:
                raise ValueError(f"revision {record.revision} of {record.activity} sent too late")
            self._first[identity] = record
            self._standing[record.activity] = record
            fate = "ledgered"
        else:
            fate = "duplicate" if earlier.payload == record.payload else "quarantined"
        self.fates[fate] += 1
        return fate

    def malformed(self, reason_code: str) -> str:
        """Notes a record that must be refused for that reason; its fate."""
        self.fates["dead_lettered"] += 1
        self.reasons[reason_code] += 1
        return "dead_lettered"

    @property
    def records(self) -> int:
        """Everything sent: what `read` must be."""
        return self.fates.total()

    def standing(self) -> list[Sent]:
        """The readings that stand: the highest revision of each activity."""
        return list(self._standing.values())

    def kwh(self, country_iso2: str | None = None) -> Fraction:
        """Exact energy that stands, in all or in one country."""
        return sum(
            (
                fraction_of(one.kwh)
                for one in self._standing.values()
                if country_iso2 in (None, one.country_iso2)
            ),
            Fraction(0),
        )

    def kgco2e(self, factors: dict[str, str], country_iso2: str | None = None) -> Fraction:
        """Exact emissions that stand. `factors`: kgCO2e per kWh as published text, by country."""
        return sum(
            (
                kgco2e(one.kwh, factors[one.country_iso2])
                for one in self._standing.values()
                if country_iso2 in (None, one.country_iso2)
            ),
            Fraction(0),
        )
