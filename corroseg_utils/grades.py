"""Corrosion grades from a corroded share: ASTM D610, ISO 4628-3 and IMO MSC.1/Circ.1330.

All three were written for an inspector who looks at a surface. A mask counts pixels instead: it knows neither
blisters, hard scale, edges and welds, nor the distance to the surface. The grades here are a decision aid
that puts photos in order of urgency; they are not a class survey and replace none.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

D610_LIMITS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 16.0, 33.0, 50.0)
"""Largest corroded share in percent of the grades 10, 9, ... 1 (ASTM D610-08, table 1); above the last it is
0."""

ISO_4628_3_AREAS = ((1, 0.05, 0.05), (2, 0.5, 0.5), (3, 1.0, 1.0), (4, 8.0, 8.0), (5, 40.0, 50.0))
"""Degree of rusting Ri and the rusted area in percent, from and to, of its reference picture (ISO 4628-3,
table 1)."""

IMO_LIMITS = (3.0, 20.0)
"""GOOD is below the first, POOR above the second, in percent (IMO MSC.1/Circ.1330, paragraph 4.1.3 and table
1)."""

FEW_REGIONS = 3
SPECK_PERCENT = 0.01

LIMITATIONS = {
    "ASTM D610":
        "The number follows the area limits of the standard's table 1. The letter (S spot, G general, P "
        "pinpoint) is read from the sizes of the connected regions by a rule of this project; the "
        "standard shows pictures instead. Stains and dirt that look like rust count as rust.",
    "ISO 4628-3":
        "The areas 0, 0.05, 0.5, 1, 8 and 40-50 % belong to reference pictures and are no limits of "
        "classes. The degree given is that of the picture whose area is nearest on a logarithmic scale; "
        "Ri 0 only where no pixel is corroded. The standard also wants the size of the spots, which a "
        "photo without a scale lacks.",
    "IMO MSC.1/Circ.1330":
        "Only the row on breakdown of coating and rusted area is used: GOOD below 3 %, FAIR 3 to 20 %, "
        "POOR above 20 %. Hard scale and the rows on edges and welds are not seen, and either can lower "
        "the condition. The circular is about ballast tanks.",
}
"""What the grade of each standard leaves out, in the words of the report."""


class Grades(NamedTuple):
    """The three grades of one surface, e.g. ``Grades("4-S", "Ri 3", "FAIR")``."""

    astm_d610: str
    iso_4628_3: str
    imo: str


def _check(percent: float) -> float:
    if not 0.0 <= percent <= 100.0:  # also False for nan
        raise ValueError(f"corroded share is {percent}, but must lie in 0..100 percent")
    return percent


def d610_grade(percent: float) -> int:
    """Rust grade 10 (best) to 0 (worst) of ASTM D610-08, table 1, from the corroded share in percent.

    A limit belongs to the better grade ("greater than 0.01 percent and up to 0.03 percent" is grade 9).
    Raises ValueError outside 0..100.
    """
    return 10 - bisect_left(D610_LIMITS, _check(percent))


def rust_distribution(region_percents: Iterable[float]) -> str:
    """Distribution letter of ASTM D610-08, section 3, from the areas of the connected regions in percent of
    the surface.

    - ``"S"`` spot, "concentrated in a few localized areas": the three largest regions hold at least half of
      the rust;
    - ``"P"`` pinpoint, "very small individual specks": at least half of the rust is in regions of at most
      0.01 % each, which is the area limit of grade 10;
    - ``"G"`` general, spots of various sizes: neither.

    Three regions, one half and 0.01 % are choices of this project: the standard draws the types and gives no
    numbers. Returns ``""`` without a region.
    """
    areas = sorted(region_percents, reverse=True)
    total = math.fsum(areas)
    if total == 0:
        return ""
    if math.fsum(areas[:FEW_REGIONS]) >= total / 2:
        return "S"
    if math.fsum(a for a in areas if a <= SPECK_PERCENT) >= total / 2:
        return "P"
    return "G"


def d610_name(percent: float, region_percents: Iterable[float] = ()) -> str:
    """Grade with its letter, e.g. ``"4-S"``; grades 10 and 0 carry none (table 1), nor does a surface without
    regions."""
    grade = d610_grade(percent)
    letter = rust_distribution(region_percents) if 0 < grade < 10 else ""
    return f"{grade}-{letter}" if letter else str(grade)


def iso4628_grade(percent: float) -> int:
    """Degree of rusting Ri 0 to 5: the reference picture of ISO 4628-3 nearest in log area (see
    `ISO_4628_3_AREAS`).

    The halfway marks are therefore geometric means: 0.158 % (Ri 1 | Ri 2), 0.707 %, 2.83 % and 17.9 %. The
    logarithm of Ri 0's area, 0 %, is minus infinity, so Ri 0 is given to 0 % alone. A tie goes to the worse
    degree. Raises ValueError outside 0..100.
    """
    if _check(percent) == 0:
        return 0

    def distance(low: float, high: float) -> float:
        return max(math.log(low / percent), math.log(percent / high), 0.0)

    return min(ISO_4628_3_AREAS, key=lambda row: (distance(row[1], row[2]), -row[0]))[0]


def imo_condition(percent: float) -> str:
    """Coating condition "GOOD", "FAIR" or "POOR" of IMO MSC.1/Circ.1330 from the corroded share in percent.

    GOOD is below 3 %, FAIR 3 to 20 % with both ends, POOR above 20 %. Raises ValueError outside 0..100.
    """
    good, fair = IMO_LIMITS
    return "GOOD" if _check(percent) < good else "FAIR" if percent <= fair else "POOR"


def grade(percent: float, region_percents: Iterable[float] = ()) -> Grades:
    """All three grades of a surface from its corroded share and the areas of its regions, all in percent."""
    return Grades(d610_name(percent, region_percents), f"Ri {iso4628_grade(percent)}", imo_condition(percent))
