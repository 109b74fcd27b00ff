import csv
import json
import xml.etree.ElementTree as ET

import pytest
from report_helpers import photo_with, report_on, save

from corroseg_utils.annotations import AnnotationError
from corroseg_utils.cli import main
from corroseg_utils.report import Settings
from corroseg_utils.trends import Trend, compare, differences, doubts, plot, write_trends


@pytest.fixture
def reports(tmp_path):
    """Last year and this year: rust on CDM_1 doubled, CDM_2 was repaired, CDM_3 stayed, CDM_4 gone, =5 new."""
    years = {
        "2025": {"CDM_1_a": (0, 0, 20, 30), "CDM_2_a": (0, 0, 40, 60), "CDM_3_a": (0, 0, 8, 6),
                 "CDM_4_a": (0, 0, 9, 9)},
        "2026": {"CDM_1_b": (0, 0, 40, 30), "CDM_2_b": (0, 0, 1, 1), "CDM_3_b": (0, 0, 8, 6), "=5/b": (0, 0, 20, 60)},
    }
    for year, photos in years.items():
        for name, box in photos.items():
            save(tmp_path / year / f"{name}.png", photo_with(box))
        report_on(tmp_path / year, tmp_path / f"report {year}")
    return tmp_path / "report 2025", tmp_path / "report 2026"


def test_states_and_order_by_hand(reports):
    trends = compare(*reports)
    assert [(trend.asset, trend.state, round(trend.change, 2)) for trend in trends] == [
        ("=5", "new", 25.0), ("CDM_1", "grew", 12.5), ("CDM_3", "same", 0.0), ("CDM_4", "gone", -1.69),
        ("CDM_2", "shrank", -49.98)]


def test_a_change_within_the_interval_is_none(reports, tmp_path):
    """The stand-in is sure everywhere; a soft edge makes an interval that covers both shares."""
    for year, rust in (("a", 28), ("b", 30)):
        photo = photo_with((0, 0, rust, 60))
        photo[:, rust:45] = (140, 100, 70)  # probability 0.53: in at the threshold, out at the stricter one
        save(tmp_path / year / "CDM_9_x.png", photo)
        report_on(tmp_path / year, tmp_path / f"{year} report")
    (trend,) = compare(tmp_path / "a report", tmp_path / "b report")
    assert trend.state == "same"


@pytest.mark.parametrize(("before", "after", "state"), [  # low, share, high
    ((8, 10, 12), (11, 13, 15), "grew"),
    ((8, 10, 12), (9, 13, 15), "same"),  # the old share lies in the new interval
    ((8, 10, 14), (11, 13, 15), "same"),  # the new share lies in the old interval
    ((11, 13, 15), (8, 10, 12), "shrank"), ((9, 13, 15), (8, 10, 12), "same"), ((11, 13, 15), (8, 10, 14), "same"),
    ((8, 10, 12), (10, 12, 14), "same"),  # on the bound is not outside
])
def test_each_share_must_lie_outside_the_other_interval(tmp_path, before, after, state):
    for name, shares in (("before", before), ("after", after)):
        weighted = dict(zip(("corroded_low", "corroded_percent", "corroded_high"), shares, strict=True))
        content = {"schema": "corroseg-findings/1", "assets": [{"asset": "tank", "weighted": weighted}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (trend,) = compare(tmp_path / "before.json", tmp_path / "after.json")
    assert trend.state == state


def test_the_plot_is_hollow_before_and_full_after():
    sides = [{"weighted": {"corroded_low": 0, "corroded_percent": share, "corroded_high": 50}} for share in (10, 40)]
    circles = ET.fromstring(plot([Trend("tank", "grew", *sides)])).findall(".//{*}circle")
    earlier, later = sorted(circles, key=lambda circle: float(circle.get("cx")))
    assert earlier.get("fill") == "#fff" and later.get("fill") == later.get("stroke") != "#fff"


def test_files(reports, tmp_path):
    write_trends(*reports, tmp_path / "trends")
    with open(tmp_path / "trends" / "trends.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["asset"] for row in rows] == ["'=5", "CDM_1", "CDM_3", "CDM_4", "CDM_2"]
    assert (rows[1]["before_percent"], rows[1]["after_percent"], rows[1]["after_imo"]) == ("12.5", "25.0", "POOR")
    assert (rows[0]["before_percent"], rows[3]["after_d610"]) == ("", "")
    assert [(row["before_findings"], row["after_findings"]) for row in rows] == [
        ("", "1"), ("1", "1"), ("1", "1"), ("1", ""), ("1", "1")]
    root = ET.fromstring((tmp_path / "trends" / "trends.svg").read_text("utf-8"))
    assert len(root.findall(".//{*}circle")) == 8  # three pairs, one gone, one new
    texts = [text.text for text in root.findall(".//{*}text")]
    assert texts[:6] == ["0 %", "10 %", "20 %", "30 %", "40 %", "50 %"]
    assert "hollow before, full after" in texts[-1]


def test_what_makes_a_comparison_doubtful(tmp_path, capsys):
    visits = {"old": {"A": ("2024-05-14", "north", ("1", "2")), "B": ("2024-05-14", "deck", ("3",))},
              "new": {"A": ("2025-05-14", "south", ("1",)), "B": ("2025-05-14", "hold", ("3",))}}
    for visit, assets in visits.items():
        table = ["photo,asset,place,date"]
        for asset, (date, place, photos) in assets.items():
            for photo in photos:
                save(tmp_path / visit / f"{photo}.png", photo_with((0, 0, 20, 30)))
                table.append(f"{photo}.png,{asset},{place},{date}")
        (tmp_path / f"{visit}.csv").write_text("\n".join(table))
        report_on(tmp_path / visit, tmp_path / f"{visit} report", by=str(tmp_path / f"{visit}.csv"))
    old, new = tmp_path / "old report", tmp_path / "new report"
    counts = "A has {} photos before and {} after, of other places; its share is that of what was photographed"
    assert doubts(old, new) == [counts.format(2, 1), counts.replace("A", "B", 1).format(1, 1)]
    wrong_order, count, _ = doubts(new, old)
    assert "are the two in the wrong order?" in wrong_order and count == counts.format(1, 2)
    assert doubts(old, old) == ["both are the same report"]
    assert main(["trends", str(old), str(new), "--out", str(tmp_path / "trends")]) == 0
    assert f"careful: {counts.format(2, 1)}" in capsys.readouterr().out


def test_photos_that_are_not_clear_make_a_comparison_doubtful(tmp_path):
    for visit, name, photo in (("old", "A_1", photo_with((0, 0, 20, 30))), ("new", "A_1", photo_with())):
        save(tmp_path / visit / f"{name}.png", photo)
        report_on(tmp_path / visit, tmp_path / f"{visit} report", by="folder")
    old, new = tmp_path / "old report", tmp_path / "new report"
    words = f"1 of 1 photos of {new} are not clear (A_1.png is hazy); shares may be too small there"
    assert doubts(old, new) == [words]
    content = json.loads((new / "findings.json").read_text())
    del content["photos"][0]["quality"]  # as versions before 0.4 wrote it
    (new / "findings.json").write_text(json.dumps(content))
    assert doubts(old, new) == []


def test_plot_escapes_names():
    side = {"weighted": {"corroded_percent": 1, "corroded_low": 0, "corroded_high": 2}, "findings": 1}
    ET.fromstring(plot([Trend("<script>&\"", "same", side, side)]))
    ET.fromstring(plot([]))


def test_other_settings_are_pointed_out(reports, tmp_path):
    assert differences(*reports) == []
    report_on(tmp_path / "2026", tmp_path / "other", settings=Settings(threshold=0.7))
    assert differences(reports[0], tmp_path / "other") == ["threshold was 0.5 and is 0.7"]


@pytest.mark.parametrize(("name", "values", "words"), [
    ("model", ("edge_unet 1", "edge_unet 2"), "model was edge_unet 1 and is edge_unet 2"),
    ("sure", (None, 0.9), "sure was None and is 0.9"), ("scale", (None, 0.5), "scale was the whole view and is 0.5"),
])
def test_each_setting_that_differs_is_pointed_out(tmp_path, name, values, words):
    same = {"schema": "corroseg-findings/1", "model": "edge_unet 1", "threshold": 0.5, "sure": None, "scale": None,
            "photos": [{"surface": "photo"}]}
    for file, value in zip(("before.json", "after.json"), values, strict=True):
        (tmp_path / file).write_text(json.dumps(same | {name: value}))
    assert differences(tmp_path / "before.json", tmp_path / "after.json") == [words]


def test_what_is_no_report_is_explained(reports, tmp_path):
    with pytest.raises(AnnotationError, match="no such file"):
        compare(reports[0], tmp_path / "nowhere")
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(AnnotationError, match="findings.json"):
        compare(tmp_path / "x.json", reports[1])


def test_another_denominator_is_no_growth(tmp_path):
    save(tmp_path / "photos" / "CDM_1_a.png", photo_with((0, 0, 10, 60)))
    steel = photo_with()[..., 0] * 0
    steel[:, :40] = 255
    save(tmp_path / "steel" / "CDM_1_a.png", steel)
    for name, settings in (("plain", Settings()), ("steel", Settings(steel=tmp_path / "steel"))):
        report_on(tmp_path / "photos", tmp_path / name, settings=settings)
    assert differences(tmp_path / "plain", tmp_path / "plain") == []
    assert differences(tmp_path / "plain", tmp_path / "steel") == ["surface was photo and is steel mask"]


def test_reports_without_a_common_asset_are_pointed_out(reports, tmp_path, capsys):
    save(tmp_path / "2030" / "IMG_1.png", photo_with((0, 0, 10, 60)))
    report_on(tmp_path / "2030", tmp_path / "later")
    assert main(["trends", str(reports[0]), str(tmp_path / "later"), "--out", str(tmp_path / "none")]) == 0
    assert "no asset is in both reports; give each the same folder" in capsys.readouterr().out
    assert main(["trends", *map(str, reports), "--out", str(tmp_path / "some")]) == 0
    assert "no asset is in both" not in capsys.readouterr().out
