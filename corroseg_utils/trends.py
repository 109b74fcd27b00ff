"""The command `trends`: two reports of the same assets compared. What grew, what is new, and a plot."""

import argparse
import csv
import html
import io
import math
from pathlib import Path
from typing import NamedTuple

from corroseg_utils.photo_files import csv_cell
from corroseg_utils.photo_quality import CLEAR
from corroseg_utils.photos import write_whole
from corroseg_utils.report_files import read_report

STATES = {
    "new": "only in the later report", "gone": "only in the earlier report",
    "grew": "each share lies outside the other report's interval, and the later one is larger",
    "shrank": "each share lies outside the other report's interval, and the later one is smaller",
    "same": "the difference lies within an interval",
}
COLUMNS = ("asset", "state", "before_percent", "after_percent", "change", "before_findings", "after_findings",
           "before_d610", "after_d610", "before_imo", "after_imo")


class Trend(NamedTuple):
    """One asset in two reports; a side is the asset's record in findings.json, or None where it is missing."""

    asset: str
    state: str
    before: dict | None
    after: dict | None

    @property
    def change(self) -> float:
        """Percentage points by which the area-weighted corroded share rose; an absent asset counts as 0."""
        before, after = (side["weighted"]["corroded_percent"] if side else 0.0 for side in (self.before, self.after))
        return after - before


def compare(before: Path | str, after: Path | str) -> list[Trend]:
    """Compare the area-weighted corroded share of each asset in two reports.

    Findings are not followed one by one: two inspections do not take the same photos from the same places. The two
    reports should come from one model at one threshold; see `differences`.

    Args:
        before, after: folders that `report` wrote, or their findings.json.

    Returns:
        All assets, the largest rise first; what each state means stands in `STATES`.

    Raises:
        AnnotationError: a file is missing or no report.
    """
    sides = [{asset["asset"]: asset for asset in read_report(path)["assets"]} for path in (before, after)]
    trends = [Trend(name, _state(*(side.get(name) for side in sides)), *(side.get(name) for side in sides))
              for name in sorted(sides[0].keys() | sides[1].keys())]
    return sorted(trends, key=lambda trend: -trend.change)


def differences(before: Path | str, after: Path | str) -> list[str]:
    """Why a change may not be one of the assets: other settings of the two reports, in words."""
    old, new = (_settings(read_report(path)) for path in (before, after))
    return [f"{what} was {old[what]} and is {new[what]}" for what in old if old[what] != new[what]]


def doubts(before: Path | str, after: Path | str) -> list[str]:
    """Why the comparison itself may be none, in words: one report given twice, reports in the wrong order, photos that
    are not clear, or assets of which the two reports saw different places or numbers of photos."""
    old, new = (read_report(path) for path in (before, after))
    if (old["created"], old["photos"]) == (new["created"], new["photos"]):
        return ["both are the same report"]
    found = []
    for folder, report in ((before, old), (after, new)):
        qualities = {photo["photo"]: photo.get("quality", CLEAR) for photo in report["photos"]}  # absent before 0.4
        unclear = [f"{name} is {quality}" for name, quality in qualities.items() if quality != CLEAR]
        if unclear:
            found.append(f"{len(unclear)} of {len(qualities)} photos of {folder} are not clear ({unclear[0]}); shares "
                         "may be too small there")
    first, last = ([photo["date"] for photo in report["photos"] if photo["date"]] for report in (old, new))
    if first and last and max(last) < min(first):
        found.append(f"photos of {after} are of {max(last)} and before, those of {before} of {min(first)} and after; "
                     "are the two in the wrong order?")
    assets = [{asset["asset"]: asset for asset in report["assets"]} for report in (old, new)]
    for name in sorted(assets[0].keys() & assets[1].keys()):
        counts, places = ([asset[key] for asset in (assets[0][name], assets[1][name])] for key in ("photos", "places"))
        if counts[0] != counts[1] or places[0] != places[1]:
            found.append(f"{name} has {counts[0]} photos before and {counts[1]} after"
                         + ("" if places[0] == places[1] else ", of other places")
                         + "; its share is that of what was photographed")
    return found


def write_trends(before: Path | str, after: Path | str, out: Path | str) -> list[Trend]:
    """Write trends.csv and trends.svg, a plot of the shares before and after with their intervals, into `out`."""
    trends = compare(before, after)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for trend in trends:
        sides = (trend.before, trend.after)
        shares = [side and side["weighted"] for side in sides]
        writer.writerow([
            csv_cell(trend.asset), trend.state,
            *(share["corroded_percent"] if share else "" for share in shares), round(trend.change, 6),
            *(side["findings"] if side else "" for side in sides),
            *(share["astm_d610"] if share else "" for share in shares),
            *(share["imo"] if share else "" for share in shares)])
    out = Path(out)
    write_whole(out / "trends.csv", lambda file: file.write(table.getvalue().encode()))
    write_whole(out / "trends.svg", lambda file: file.write(plot(trends).encode()))
    return trends


def plot(trends: list[Trend]) -> str:
    """SVG picture: a line for each asset, hollow before and full after, with the intervals as thin bars."""
    row, left, width = 28, 220, 560
    shares = [side["weighted"] for trend in trends for side in (trend.before, trend.after) if side]
    ticks = _ticks(max([share["corroded_high"] for share in shares] + [1.0]))
    bottom = 50 + row * len(trends)

    def x(percent: float) -> float:
        return round(left + width * percent / ticks[-1], 1)

    def sides(y: float, colour: str, *shares: dict | None) -> str:
        parts = []
        for share, offset, fill in zip(shares, (-4, 4), ("#fff", colour), strict=True):
            if share:
                low, middle, high = (x(share[f"corroded_{key}"]) for key in ("low", "percent", "high"))
                parts.append(f'<path d="M{low} {y + offset}H{high}" stroke="{colour}"/><circle cx="{middle}" '
                             f'cy="{y + offset}" r="5" fill="{fill}" stroke="{colour}" stroke-width="2"/>')
        return "".join(parts)

    parts = [f'<line x1="{x(tick)}" y1="40" x2="{x(tick)}" y2="{bottom}" stroke="#d5dae0"/>'
             f'<text x="{x(tick)}" y="32" text-anchor="middle">{tick:g} %</text>' for tick in ticks]
    for number, trend in enumerate(trends):
        y = 60 + row * number
        colour = {"grew": "#9b1212", "new": "#9b1212", "shrank": "#1b5e20"}.get(trend.state, "#4a5560")
        parts.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{html.escape(trend.asset[:28])}</text>'
                     + sides(y, colour, *(side and side["weighted"] for side in (trend.before, trend.after)))
                     + f'<text x="{left + width + 14}" y="{y + 4}">{trend.state}</text>')
    parts.append(f'<text x="{left}" y="{bottom + 22}">Corroded share of each asset: hollow before, full after; the '
                 'bars are the intervals</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 90} {bottom + 36}" '
            'font-family="sans-serif" font-size="13" role="img"><title>Corroded share of each asset, before and '
            'after</title><rect width="100%" height="100%" fill="#fff"/>' + "".join(parts) + "</svg>\n")


def _ticks(most: float) -> list[float]:
    """Round percentages from 0 to the first at or above `most`, three to six of them."""
    power = 10.0 ** math.floor(math.log10(most / 5))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= most / 5)
    return [step * number for number in range(1 + math.ceil(most / step))]


def _settings(report: dict) -> dict:
    surfaces = sorted({photo["surface"] for photo in report["photos"]})
    return {**{name: report.get(name) for name in ("model", "threshold", "sure")},
            "scale": report.get("scale") or "the whole view", "surface": " and ".join(surfaces)}


def _state(before: dict | None, after: dict | None) -> str:
    if before is None or after is None:
        return "gone" if after is None else "new"
    old, new = before["weighted"], after["weighted"]
    if new["corroded_percent"] > old["corroded_high"] and old["corroded_percent"] < new["corroded_low"]:
        return "grew"
    if new["corroded_percent"] < old["corroded_low"] and old["corroded_percent"] > new["corroded_high"]:
        return "shrank"
    return "same"


def add_parser(subparsers) -> None:
    """Add the command `trends` to the command line."""
    parser = subparsers.add_parser(
        "trends", help="compare two reports of the same assets",
        description="Compare the corroded share of each asset in two reports and write trends.csv and trends.svg.")
    parser.add_argument("before", type=Path, metavar="BEFORE", help="folder of the earlier report")
    parser.add_argument("after", type=Path, metavar="AFTER", help="folder of the later report")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for trends.csv and trends.svg")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    for difference in differences(options.before, options.after):
        print(f"careful: the {difference}; a change may come from that alone")
    for doubt in doubts(options.before, options.after):
        print(f"careful: {doubt}")
    trends = write_trends(options.before, options.after, options.out)
    if all(trend.state in ("new", "gone") for trend in trends):
        print("careful: no asset is in both reports; give each the same folder in both, or name them by a table "
              "(report --assets)")
    for trend in trends:
        shares = [f"{side['weighted']['corroded_percent']:6.2f} %" if side else "       -"
                  for side in (trend.before, trend.after)]
        print(f"{trend.state:7} {shares[0]} -> {shares[1]}  {trend.asset}")
    print("".join(f"\n{state}: {meaning}" for state, meaning in STATES.items()))
    return 0
