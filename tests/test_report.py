import csv
import errno
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_helpers import CREATED, ColourSegmenter, files_in, photo_with, report_on, sample_photos, save

from corroseg_utils.annotations import decode_rle, read_coco
from corroseg_utils.assets import group_photos, list_photos, photos_without_row, safe_key
from corroseg_utils.cli import main
from corroseg_utils.dataset import DataError
from corroseg_utils.errors import CorrosegError
from corroseg_utils.photo_files import printable
from corroseg_utils.photos import read_photo, write_jpeg
from corroseg_utils.report import Settings, make_report
from corroseg_utils.report_files import CSV_COLUMNS, RESULTS
from corroseg_utils.segmenter import SHIPPED_LITERT, Segmenter

HELPERS = Path(__file__).with_name("report_helpers.py")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    report = report_on(sample_photos(folder / "photos"), folder / "out")
    return report, json.loads((folder / "out" / "findings.json").read_text("utf-8"))


def test_photos_by_hand(sample):
    _, content = sample
    by_name = {photo["photo"]: photo for photo in content["photos"]}
    assert list(by_name) == ["CDM_1_IMG_0.png", "CDM_1_IMG_2.png", "CDS_2_IMG_0.png", "a/CDM_1_IMG_1.png",
                             "tank/left.png"]
    quarter, small, none, all_of_it = (by_name[name] for name in (
        "CDM_1_IMG_0.png", "a/CDM_1_IMG_1.png", "CDM_1_IMG_2.png", "tank/left.png"))
    assert (quarter["corroded_percent"], quarter["astm_d610"], quarter["iso_4628_3"], quarter["imo"]) == (
        25, "2-S", "Ri 5", "POOR")
    assert quarter["findings"] == [{"finding": 1, "class": "cor", "area_pixels": 1200, "area_percent": 25.0,
                                    "box": [0, 0, 40, 30], "confidence": 0.9}]
    assert (small["corroded_percent"], small["astm_d610"], small["imo"]) == (2, "5-S", "GOOD")
    assert [finding["box"] for finding in small["findings"]] == [[0, 0, 8, 6], [20, 20, 8, 6]]
    assert (none["corroded_percent"], none["astm_d610"], none["iso_4628_3"], none["findings"]) == (0, "10", "Ri 0", [])
    assert (all_of_it["corroded_percent"], all_of_it["astm_d610"]) == (100, "0")
    assert all(photo["surface"] == "photo" for photo in content["photos"])


def test_assets_by_hand(sample):
    _, content = sample
    assert [asset["asset"] for asset in content["assets"]] == ["tank", "CDS_2", "CDM_1"]  # worst first
    job = content["assets"][2]
    assert job["photos"] == 3 and job["findings"] == 3
    assert (job["worst"]["photo"], job["worst"]["astm_d610"]) == ("CDM_1_IMG_0.png", "2-S")
    assert job["weighted"]["corroded_percent"] == 9.0  # (25 + 2 + 0) / 3, photos of one size
    assert (job["weighted"]["astm_d610"], job["weighted"]["imo"]) == ("4", "FAIR")


def test_weighted_share_counts_pixels(tmp_path):
    save(tmp_path / "photos" / "CDM_1_a.png", photo_with((0, 0, 80, 60)))
    save(tmp_path / "photos" / "CDM_1_b.png", photo_with(size=(160, 120)))
    report_on(tmp_path / "photos", tmp_path / "out")
    (asset,) = json.loads((tmp_path / "out" / "findings.json").read_text())["assets"]
    assert asset["weighted"]["corroded_percent"] == 20.0  # 4,800 of 4,800 + 19,200 pixels


def test_csv_has_a_row_for_each_finding_and_each_photo_without(sample):
    report, content = sample
    with open(report.out / "findings.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == 6
    assert [row["finding"] for row in rows if row["photo"] == "CDM_1_IMG_2.png"] == [""]
    assert {row["asset"] for row in rows} == {"CDM_1", "CDS_2", "tank"}


def read_table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def mixed(tmp_path):
    """A job with a photo that is clear, one of plain colour, and a broken one; and a folder with a broken one alone."""
    save(tmp_path / "photos" / "CDM_1_a.png", photo_with((0, 0, 40, 30)))
    save(tmp_path / "photos" / "CDM_1_b.png", np.full((60, 80, 3), 7, np.uint8))
    for name in ("CDM_1_c.png", "tank/d.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no picture")
    report_on(tmp_path / "photos", tmp_path / "out")
    return tmp_path / "out"


def test_photos_that_are_not_clear_are_named(mixed):
    content = json.loads((mixed / "findings.json").read_text())
    assert [photo["quality"] for photo in content["photos"]] == ["clear", "too dark"]
    assert [asset["unclear_photos"] for asset in content["assets"]] == [1]
    assert [row["quality"] for row in read_table(mixed / "findings.csv")] == ["clear", "too dark", "", ""]
    page = (mixed / "report.html").read_text()
    assert "<b>1 photo is not clear</b>" in page and '<small class="quality">too dark</small>' in page


def test_csv_has_a_row_for_each_photo_that_failed(mixed):
    rows = read_table(mixed / "findings.csv")
    assert [(row["photo"], row["asset"], bool(row["error"])) for row in rows] == [
        ("CDM_1_a.png", "CDM_1", False), ("CDM_1_b.png", "CDM_1", False), ("CDM_1_c.png", "CDM_1", True),
        ("tank/d.png", "tank", True)]
    assert "not a picture" in rows[2]["error"] and rows[2]["corroded_percent"] == rows[2]["astm_d610"] == ""


def test_table_of_assets_by_hand(mixed, sample):
    job, tank = read_table(mixed / "assets.csv")
    assert {key: job[key] for key in ("asset", "photos", "unclear_photos", "failed_photos", "findings")} == {
        "asset": "CDM_1", "photos": "2", "unclear_photos": "1", "failed_photos": "1", "findings": "1"}
    assert [job[f"worst_{key}"] for key in ("photo", "percent", "astm_d610", "iso_4628_3", "imo")] == [
        "CDM_1_a.png", "25.0", "2-S", "Ri 5", "POOR"]
    assert [job[f"weighted_{key}"] for key in ("percent", "low", "high", "astm_d610", "iso_4628_3", "imo")] == [
        "12.5", "12.5", "12.5", "3", "Ri 4", "FAIR"]  # half of 25 %, of photos of one size
    assert [tank[key] for key in ("asset", "photos", "unclear_photos", "failed_photos", "findings", "worst_imo")] == [
        "tank", "0", "0", "1", "0", ""]
    report, _ = sample
    assert [row["asset"] for row in read_table(report.out / "assets.csv")] == ["tank", "CDS_2", "CDM_1"]


def test_csv_holds_the_box_as_left_top_width_height(sample):
    report, _ = sample
    with open(report.out / "findings.csv", newline="", encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["photo"] == "CDM_1_IMG_0.png")
    assert [row[name] for name in ("box_x", "box_y", "box_width", "box_height")] == ["0", "0", "40", "30"]
    assert [row[name] for name in ("area_pixels", "area_percent", "corroded_percent")] == ["1200", "25.0", "25.0"]


def test_coco_numbers_are_those_of_one_photo_and_one_annotation_each(sample):
    report, _ = sample
    coco = json.loads((report.out / "coco.json").read_text())
    assert [annotation["id"] for annotation in coco["annotations"]] == [1, 2, 3, 4, 5]
    # In the order of the names: one finding, none, one, two, one.
    assert [annotation["image_id"] for annotation in coco["annotations"]] == [1, 3, 4, 4, 5]


def test_the_interval_by_hand(tmp_path):
    photo = photo_with((0, 0, 10, 60))  # 12.5 % that the model is sure of
    photo[:, 10:20] = (140, 100, 70)  # probability 0.53: out at the stricter threshold of 0.75
    photo[:, 20:40] = (140, 110, 100)  # probability 0.3: in at the looser threshold of 0.25
    save(tmp_path / "photos" / "a.png", photo)
    report_on(tmp_path / "photos", tmp_path / "out")
    content = json.loads((tmp_path / "out" / "findings.json").read_text())
    for record in (content["photos"][0], content["assets"][0]["weighted"]):
        assert [record[f"corroded_{key}"] for key in ("low", "percent", "high")] == [12.5, 25, 50]


def test_a_hundred_findings_are_listed_and_the_rest_is_counted(tmp_path):
    spots = [(8 * x, 8 * y, 8 * x + 4, 8 * y + 4) for x in range(12) for y in range(10)]  # 120 of 16 pixels
    save(tmp_path / "photos" / "a.png", photo_with(*spots, size=(100, 96)))
    report_on(tmp_path / "photos", tmp_path / "out")
    (photo,) = json.loads((tmp_path / "out" / "findings.json").read_text())["photos"]
    assert len(photo["findings"]) == 100 and photo["corroded_percent"] == 20
    assert photo["rest"] == {"regions": 20, "area_percent": 3.333333}  # 20 * 16 of 9,600 pixels


def test_a_hundredth_of_a_percent_is_listed(tmp_path):
    photo = photo_with((0, 0, 3, 1), (50, 50, 52, 51), size=(200, 150))  # 3 and 2 of 30,000 pixels
    save(tmp_path / "photos" / "a.png", photo)
    report_on(tmp_path / "photos", tmp_path / "out")
    (photo,) = json.loads((tmp_path / "out" / "findings.json").read_text())["photos"]
    assert [finding["area_pixels"] for finding in photo["findings"]] == [3] and photo["rest"]["regions"] == 1


def test_boxes_enclose_their_masks_where_the_model_saw_the_photo_smaller(tmp_path):
    save(tmp_path / "photos" / "a.png", photo_with((20, 10, 50, 40), size=(81, 61)))
    report_on(tmp_path / "photos", tmp_path / "out", settings=Settings(scale=0.37))  # 30 x 23 pixels
    (photo,) = json.loads((tmp_path / "out" / "findings.json").read_text())["photos"]
    (annotation,) = json.loads((tmp_path / "out" / "coco.json").read_text())["annotations"]
    rows, columns = np.nonzero(decode_rle(annotation["segmentation"]))
    enclosing = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    assert photo["findings"][0]["box"] == annotation["bbox"] == enclosing
    assert photo["surface_pixels"] == 81 * 61  # by which the photo counts in its asset


def test_findings_json_follows_its_schema(sample):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema (comes with Jupyter) is not installed")
    schema = Path(__file__).parent.parent / "corroseg_utils" / "templates" / "findings.schema.json"
    jsonschema.validate(sample[1], json.loads(schema.read_text()))


def test_coco_masks_equal_the_corrosion_at_full_size_even_at_half_scale(tmp_path):
    photo = photo_with((0, 0, 40, 30), (60, 40, 64, 44))
    save(tmp_path / "photos" / "a.png", photo)
    report_on(tmp_path / "photos", tmp_path / "out", settings=Settings(scale=0.5))
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert coco["images"] == [{"id": 1, "file_name": "a.png", "width": 80, "height": 60}]
    mask = sum(decode_rle(annotation["segmentation"]) for annotation in coco["annotations"])
    np.testing.assert_array_equal(mask, photo[..., 0] > photo[..., 2])
    assert [a["bbox"] for a in coco["annotations"]] == [[0, 0, 40, 30], [60, 40, 4, 4]]
    assert [a["area"] for a in coco["annotations"]] == [1200, 16]


def test_tiles_see_what_the_whole_view_is_too_coarse_for(tmp_path, red_segmenter):
    specks = [(x, y, x + 4, y + 4) for x in range(20, 760, 60) for y in range(20, 560, 60)]
    save(tmp_path / "photos" / "a.png", photo_with(*specks, size=(768, 576)))
    found = {}
    for scale in (None, 0.5, 1.0):
        make_report(tmp_path / "photos", tmp_path / str(scale), red_segmenter, settings=Settings(scale=scale),
                    created=CREATED, quiet=True)
        content = json.loads((tmp_path / str(scale) / "findings.json").read_text())
        assert content["scale"] == scale
        found[scale] = content["photos"][0]["corroded_percent"]
    # Each speck is half a pixel of the whole view, 2 x 2 pixels at half scale and 4 x 4 at full scale.
    everything = round(100 * 16 * len(specks) / (768 * 576), 6)
    assert found == {None: 0, 0.5: everything, 1.0: everything}


def test_a_model_of_several_classes_names_each_finding(tmp_path):
    def logits(photos):  # background, rust where it is red, pitting where it is blue
        photos = photos.astype(np.float32)
        red, blue = photos[..., 0] - photos[..., 2] - 60, photos[..., 2] - photos[..., 0] - 60
        return np.stack([np.zeros_like(red), red, blue], -1)

    about = {"network": "colours", "size": 96, "classes": ["background", "rus", "pit"], "threshold": 0.5}
    photo = photo_with((0, 0, 40, 30), size=(96, 72))
    photo[40:50, 60:90] = (40, 60, 200)
    save(tmp_path / "photos" / "CDM_1_a.png", photo)
    make_report(tmp_path / "photos", tmp_path / "out", Segmenter(logits, about), created=CREATED, quiet=True)
    (found,) = json.loads((tmp_path / "out" / "findings.json").read_text())["photos"]
    assert [(f["class"], f["area_pixels"], f["box"]) for f in found["findings"]] == [
        ("rus", 1200, [0, 0, 40, 30]), ("pit", 300, [60, 40, 30, 10])]
    with open(tmp_path / "out" / "findings.csv", newline="", encoding="utf-8") as file:
        assert [row["class"] for row in csv.DictReader(file)] == ["rus", "pit"]
    ((name, mask),) = read_coco(tmp_path / "out" / "coco.json", tmp_path / "photos")
    assert np.bincount(mask.ravel(), minlength=5).tolist() == [96 * 72 - 1500, 0, 1200, 300, 0]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "pitting" in page and "loss of material" not in page  # the legend names what was found


def test_the_page_has_one_colour_for_a_class_in_layer_and_legend(tmp_path):
    def logits(photos):  # rust where it is red, background elsewhere; pitting nowhere
        red = photos[..., 0].astype(np.float32) - photos[..., 2] - 60
        return np.stack([np.zeros_like(red), red, np.full_like(red, -99)], -1)

    about = {"network": "colours", "size": 96, "classes": ["background", "rus", "pit"], "threshold": 0.5}
    save(tmp_path / "photos" / "a.png", photo_with((10, 10, 40, 40), size=(96, 72)))
    make_report(tmp_path / "photos", tmp_path / "out", Segmenter(logits, about), created=CREATED, quiet=True)
    layer = np.asarray(Image.open(next((tmp_path / "out" / "photos").glob("*_mask.png"))).convert("RGBA"))
    assert layer[25, 25].tolist() == [240, 228, 66, 110] and layer[10, 25].tolist() == [240, 228, 66, 255]
    assert (layer[50:, :, 3] == 0).all()  # clear where nothing is marked
    page = (tmp_path / "out" / "report.html").read_text()
    assert re.findall(r'<li data-class="(\w+)">.*?fill="(#\w+)"', page) == [("cor", "#009eeb"), ("rus", "#f0e442")]


def test_a_photo_that_fails_is_exit_code_1_and_options_reach_the_report(tmp_path, monkeypatch, red_segmenter, capsys):
    from corroseg_utils import segmenter

    monkeypatch.setattr(segmenter, "load_segmenter", lambda path=None, exact=False: red_segmenter)
    photos = sample_photos(tmp_path / "photos")
    (photos / "broken.jpg").write_text("no photo")
    command = ["report", str(photos), "--out", str(tmp_path / "out"), "--assets", "folder", "--scale", "0.5", "--sure",
               "0.8", "--threshold", "0.6"]
    assert main(command) == 1
    captured = capsys.readouterr()
    assert "broken.jpg: " in captured.err and "5 of 6 photos inspected" in captured.out
    assert "careful: CDM_1_IMG_2.png is hazy" in captured.err  # the photo without rust is of one colour
    content = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert (content["scale"], content["sure"], content["threshold"]) == (0.5, 0.8, 0.6)
    assert {asset["asset"] for asset in content["assets"]} == {"photos", "a", "tank"}
    (photos / "broken.jpg").unlink()
    assert main(command) == 0


def test_the_command_uses_the_model_of_exact_masks(tmp_path, monkeypatch, red_segmenter):
    from corroseg_utils import segmenter
    from corroseg_utils.cli import main

    asked = []
    monkeypatch.setattr(segmenter, "load_segmenter", lambda path=None, exact=False: asked.append((path, exact))
                        or red_segmenter)
    save(tmp_path / "photos" / "a.png", photo_with())
    assert main(["report", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]) == 0
    assert asked == [(None, True)]


def test_a_trained_network_of_all_classes_from_file_to_report(tmp_path):
    from corroseg_utils.cli import main
    from corroseg_utils.dataset import CLASS_NAMES
    from corroseg_utils.models import edge_unet
    from corroseg_utils.segmenter import load_segmenter
    from corroseg_utils.weights import save_model

    network = edge_unet(None, 5, 0.35, None)
    bias = network.get_layer("logits_quarter").bias
    bias.assign([-1.0, 0.0, 0.2, 0.0, 0.0])  # untrained as it is, it then finds something
    save_model(tmp_path / "model.npz", network, {"network": "edge_unet", "alpha": 0.35, "classes": list(CLASS_NAMES),
                                                 "size": 64, "threshold": 0.5, "version": "test"})
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    path = save(tmp_path / "photos" / "a.png", noise)
    assert main(["report", str(path.parent), "--out", str(tmp_path / "out"), "--model",
                 str(tmp_path / "model.npz")]) == 0
    (photo,) = json.loads((tmp_path / "out" / "findings.json").read_text())["photos"]
    probabilities = load_segmenter(tmp_path / "model.npz").class_probabilities(noise)
    best = probabilities[..., 1:].argmax(-1) + 1
    annotations = json.loads((tmp_path / "out" / "coco.json").read_text())["annotations"]
    assert photo["findings"]
    for finding, annotation in zip(photo["findings"], annotations, strict=False):
        votes = np.bincount(best[decode_rle(annotation["segmentation"])], minlength=5)
        assert finding["class"] == CLASS_NAMES[votes.argmax()] == CLASS_NAMES[annotation["category_id"]]


def test_a_region_that_is_sure_nowhere_is_left_out(tmp_path):
    photo = photo_with((0, 0, 8, 6))
    photo[30:40, 30:50] = (140, 100, 70)  # probability 0.53
    save(tmp_path / "photos" / "a.png", photo)
    for sure, findings in ((None, 2), (0.8, 1)):
        report_on(tmp_path / "photos", tmp_path / "out", settings=Settings(sure=sure))
        content = json.loads((tmp_path / "out" / "findings.json").read_text())
        assert (content["sure"], len(content["photos"][0]["findings"])) == (sure, findings)


def test_small_regions_are_counted_but_not_listed(tmp_path):
    specks = [(x, y, x + 1, y + 1) for x in range(0, 200, 10) for y in range(0, 150, 10)]
    save(tmp_path / "photos" / "a.png", photo_with(*specks, (20, 30, 25, 35), size=(200, 150)))
    report_on(tmp_path / "photos", tmp_path / "out")
    (photo,) = json.loads((tmp_path / "out" / "findings.json").read_text())["photos"]
    assert [finding["area_pixels"] for finding in photo["findings"]] == [25]
    assert photo["rest"]["regions"] == 299  # one of the 300 lies in the spot
    assert photo["astm_d610"] == "5-P"
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert sum(annotation["area"] for annotation in coco["annotations"]) == 25 + 299
    assert coco["annotations"][-1]["bbox"] == [0, 0, 191, 141]  # from the first speck to the last


def test_a_row_of_the_table_that_was_cut_off_is_no_whole_photo(tmp_path):
    save(tmp_path / "photos" / "a.png", photo_with())
    (tmp_path / "assets.csv").write_text("photo,asset,region\na.png,hatch\n")
    with pytest.raises(CorrosegError, match="assets.csv: row 1 below the header has only 2 of 3 cells. Complete it"):
        report_on(tmp_path / "photos", tmp_path / "out", by=str(tmp_path / "assets.csv"))


def test_steel_mask_and_region_are_the_denominator(tmp_path):
    photos, steel = tmp_path / "photos", tmp_path / "steel"
    for name in ("steel", "region", "both", "plain"):
        save(photos / "x" / f"{name}.png", photo_with((0, 0, 40, 30)))
    mask = np.zeros((60, 80), np.uint8)
    mask[:, :40] = 255
    for name in ("steel", "both"):
        save(steel / "x" / f"{name}.png", mask)
    table = tmp_path / "assets.csv"
    table.write_text("photo,asset,place,date,region\nx/region.png,A,Deck,2026-01-02,0 0 50 50\n"
                     "x/both.png,A,Hold,2026-01-03,0 50 100 100\n", "utf-8")
    report_on(photos, tmp_path / "out", by=str(table), settings=Settings(steel=steel))
    content = json.loads((tmp_path / "out" / "findings.json").read_text())
    found = {p["photo"]: (p["surface"], p["surface_percent"], p["corroded_percent"]) for p in content["photos"]}
    assert found == {
        "x/steel.png": ("steel mask", 50, 50), "x/region.png": ("region", 25, 100),
        "x/both.png": ("steel mask in region", 25, 0), "x/plain.png": ("photo", 100, 25),
    }
    asset = next(asset for asset in content["assets"] if asset["asset"] == "A")
    assert (asset["places"], asset["first_date"], asset["last_date"]) == (["Deck", "Hold"], "2026-01-02",
    "2026-01-03")


def test_any_value_above_0_is_steel(tmp_path):
    save(tmp_path / "photos" / "a.png", photo_with((0, 0, 40, 30)))
    mask = np.zeros((60, 80), np.uint8)
    mask[:, :40] = 1
    save(tmp_path / "steel" / "a.png", mask)
    report_on(tmp_path / "photos", tmp_path / "out", settings=Settings(steel=tmp_path / "steel"))
    (photo,) = json.loads((tmp_path / "out" / "findings.json").read_text())["photos"]
    assert (photo["surface"], photo["surface_percent"], photo["corroded_percent"]) == ("steel mask", 50, 50)


def test_the_table_knows_better_than_the_camera(tmp_path):
    """Its row of a whole path wins over that of a bare name too."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2020:10:05 12:00:00"
    for name in ("x.jpg", "sub/x.jpg"):
        save(tmp_path / "photos" / name, photo_with(), exif=exif)
    table = tmp_path / "assets.csv"
    table.write_text("photo,asset,date\nx.jpg,A,\nsub\\x.jpg,B,2026-03-31\n")  # a path as Windows writes it
    report_on(tmp_path / "photos", tmp_path / "out", by=str(table))
    photos = json.loads((tmp_path / "out" / "findings.json").read_text())["photos"]
    assert {photo["photo"]: (photo["asset"], photo["date"]) for photo in photos} == {
        "x.jpg": ("A", "2020-10-05"), "sub/x.jpg": ("B", "2026-03-31")}


@pytest.mark.parametrize(
    ("text", "message"),
    [("photo\nx.png\n", "asset"), ("photo,asset,region\nx.png,A,1 2 3\n", "region"), ("", "CSV"),
     ("photo,asset,region\nx.png,A,0 0 101 100\n", "region"), ("photo,asset,region\nx.png,A,-1 0 50 50\n", "region"),
     ("photo,asset,date\nx.png,A,31.12.2025\n", "YYYY-MM-DD"), ("photo,asset\ny.png,A\n", "y.png"),
     ("photo,asset\nx.png,A,Deck\n", "not a CSV table"),
     ("photo,asset\nx.png,A\n x.png ,B\n", "twice")],
)
def test_bad_asset_tables_are_explained(tmp_path, text, message):
    photo = save(tmp_path / "photos" / "x.png", photo_with())
    table = tmp_path / "assets.csv"
    table.write_text(text)
    with pytest.raises(CorrosegError, match=message):
        group_photos([photo], tmp_path / "photos", str(table))


def test_a_photo_without_an_asset_in_the_table_goes_by_its_job(tmp_path):
    photos = [save(tmp_path / name / "CDM_1_x.png", photo_with()) for name in ("a", "CDM_2_b")]
    photos.append(save(tmp_path / "CDS_3_x.png", photo_with()))
    table = tmp_path / "assets.csv"
    table.write_text("photo,asset,date\na/CDM_1_x.png,,2026-1-2\nCDS_3_x.png,deck,\n")
    entries = group_photos(photos, tmp_path, str(table))
    assert [(entry.asset, entry.date) for entry in entries] == [("CDM_1", "2026-01-02"), ("CDM_1", ""), ("deck", "")]


def test_a_file_name_that_two_photos_have_is_doubtful(tmp_path):
    photos, table = [tmp_path / name for name in ("x/1.jpg", "y/1.jpg", "1.jpg")], tmp_path / "assets.csv"
    table.write_text("photo,asset,region\n1.jpg,Tank 7,0 0 50 50\n")
    with pytest.raises(DataError, match="assets.csv: 2 photos in .* have the name '1.jpg'. Give each as its path"):
        group_photos(photos[:2], tmp_path, str(table))
    save(tmp_path / "1.jpg", photo_with())  # directly in the folder: its path is its name
    assert [entry.asset for entry in group_photos(photos, tmp_path, str(table))] == ["x", "y", "Tank 7"]
    assert photos_without_row(photos, tmp_path, str(table)) == ["x/1.jpg", "y/1.jpg"]


def test_a_name_of_macos_is_the_one_in_the_table(tmp_path):
    decomposed = tmp_path / "Bru\u0308cke.jpg"  # as its disks write it: u and two dots
    (tmp_path / "assets.csv").write_text("photo,asset\nBr\u00fccke.jpg,B\n", encoding="utf-8")
    assert [entry.asset for entry in group_photos([decomposed], tmp_path, str(tmp_path / "assets.csv"))] == ["B"]


def test_a_table_without_rows_is_refused(tmp_path):
    (tmp_path / "assets.csv").write_text("photo,asset\n,\n")
    with pytest.raises(DataError, match="assets.csv: has no row below its header"):
        group_photos([tmp_path / "a.jpg"], tmp_path, str(tmp_path / "assets.csv"))


def test_rows_that_name_no_photo_are_listed(tmp_path, capsys):
    for name in ("a/x.png", "y.png"):
        save(tmp_path / "photos" / name, photo_with())
    table = tmp_path / "assets.csv"
    table.write_text("photo,asset\nx.png,A\nb/x.png,B\nz.png,A\n")
    assert main(["report", str(tmp_path / "photos"), "--out", str(tmp_path / "out"), "--model", str(SHIPPED_LITERT),
                 "--assets", str(table)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "names no photo" in line]
    assert [line.split("'")[1] for line in lines] == ["b/x.png", "z.png"]


def test_photos_without_a_row_are_counted(tmp_path, capsys):
    for name in ("a/x.png", "a/y.png", "z.png"):
        save(tmp_path / "photos" / name, photo_with())
    table = tmp_path / "assets.csv"
    table.write_text("photo,asset\nx.png,A\n")
    assert main(["report", str(tmp_path / "photos"), "--out", str(tmp_path / "out"), "--model", str(SHIPPED_LITERT),
                 "--assets", str(table)]) == 0
    assert "assets.csv: has no row for 2 of 3 photos, a/y.png among them" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [
    ("seconds", "0"), ("seconds", "nan"), ("seconds", "inf"), ("threshold", "1"), ("scale", "2"), ("scale", "0.001"),
    ("sure", "0.01"), ("steel", "nowhere")])
def test_options_out_of_range_are_explained(tmp_path, capsys, option, value):
    sample_photos(tmp_path / "photos")
    try:
        code = main(["report", str(tmp_path / "photos"), "--out", str(tmp_path / "out"), "--model",
                     str(SHIPPED_LITERT), f"--{option}", value])
    except SystemExit as refused:  # by argparse
        code = refused.code
    assert code == 2
    message = capsys.readouterr().err
    assert option in message and value in message
    assert not (tmp_path / "out").exists()


def test_a_report_of_other_photos_is_not_replaced(tmp_path):
    for visit in ("last", "this"):
        save(tmp_path / visit / f"{visit}.png", photo_with((0, 0, 9, 9)))
    report_on(tmp_path / "last", tmp_path / "out")
    before = files_in(tmp_path / "out")
    with pytest.raises(CorrosegError, match=r"out: here is a report of other photos, last\.png among them"):
        report_on(tmp_path / "this", tmp_path / "out")
    assert files_in(tmp_path / "out") == before
    save(tmp_path / "this" / "last.png", photo_with())
    report_on(tmp_path / "this", tmp_path / "out")  # the folder has grown, or the photo was mended
    assert "this.png" in (tmp_path / "out" / "findings.csv").read_text()


def test_a_model_of_other_classes_is_refused(tmp_path):
    class Conditions(ColourSegmenter):
        classes = ("background", "fair", "poor", "severe")

    sample_photos(tmp_path / "photos")
    with pytest.raises(CorrosegError, match="fair, poor, severe"):
        make_report(tmp_path / "photos", tmp_path / "out", Conditions())
    assert not (tmp_path / "out").exists()


def test_grouping_by_job_and_by_folder(tmp_path):
    photos = sample_photos(tmp_path / "photos")
    by_job = [entry.asset for entry in group_photos(list_photos(photos, tmp_path / "out"), photos, "job")]
    by_folder = [entry.asset for entry in group_photos(list_photos(photos, tmp_path / "out"), photos, "folder")]
    assert by_job == ["CDM_1", "CDM_1", "CDS_2", "CDM_1", "tank"]
    assert by_folder == ["photos", "photos", "photos", "a", "tank"]


def test_report_inside_the_photo_folder_does_not_inspect_itself(tmp_path):
    photos = sample_photos(tmp_path / "photos")
    for _ in range(2):
        assert len(report_on(photos, photos / "report").entries) == 5


@pytest.mark.parametrize("out", [".", "photos"])
def test_no_pictures_are_written_among_the_photos(tmp_path, out):
    """A data set has its photos in a folder photos, where a report in the data set would put its pictures too."""
    photos = sample_photos(tmp_path / "data" / "photos")
    before = files_in(tmp_path)
    with pytest.raises(CorrosegError, match="Give another folder, such as"):
        report_on(photos, tmp_path / "data" / out)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("name", ["coco.json", "findings.json", "report.html", "photos/mine.png"])
def test_files_that_are_not_of_a_report_stay(tmp_path, name):
    photos = sample_photos(tmp_path / "inspection")
    save(tmp_path / "out" / "mine.png", photo_with())
    (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / name).write_bytes(b"a day's work")
    before = files_in(tmp_path)
    with pytest.raises(CorrosegError, match="is there already, and is not of a report"):
        report_on(photos, tmp_path / "out")
    assert files_in(tmp_path) == before


def test_what_is_no_photo_is_not_inspected(tmp_path):
    photos = sample_photos(tmp_path / "photos")
    names = [path.name for path in list_photos(photos, tmp_path / "out")]
    report_on(photos, photos / "first")
    save(photos / "steel" / "tank" / "new.png", np.full((60, 80), 255, np.uint8))
    write_jpeg(photos / "tank" / "new.jpg", np.zeros((60, 80, 3), np.uint8))
    found = [path.name for path in list_photos(photos, photos / "second", photos / "steel")]
    assert sorted(found) == sorted([*names, "new.jpg"])
    with pytest.raises(DataError, match="the steel masks lie among the photos"):
        list_photos(photos, photos / "second", photos / "tank" / "..")
    (photos / "steel" / "tank" / "new.png").unlink()
    assert len(list_photos(photos, photos / "second")) == len(names) + 1
    report_on(photos / "tank", photos / "a")  # a report in a folder that has photos of its own
    assert len(list_photos(photos, photos / "second")) == len(names) + 1


def test_a_photo_named_as_its_job_belongs_to_it(tmp_path):
    photos = [tmp_path / "tank" / name for name in ("CDM_7.jpg", "CDM_7_IMG_1.jpg", "other.jpg")]
    assert [entry.asset for entry in group_photos(photos, tmp_path)] == ["CDM_7", "CDM_7", "tank"]


def test_empty_rows_of_a_spreadsheet(tmp_path):
    photos, table = [tmp_path / "a.jpg"], tmp_path / "assets.csv"
    table.write_text("photo,asset\na.jpg,A\n,\n , \n")
    assert [entry.asset for entry in group_photos(photos, tmp_path, str(table))] == ["A"]
    table.write_text('photo,asset\n\na.jpg,"A\nB"\n,\n,B\n')
    with pytest.raises(DataError, match="row 5 names no photo"):
        group_photos(photos, tmp_path, str(table))


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_steel_mask_lies_on_the_upright_photo(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo_with((0, 0, 40, 60))).save(tmp_path / "photos" / "a.png", exif=exif)  # red is stored left
    upright = read_photo(tmp_path / "photos" / "a.png")
    red = upright[..., 0] > upright[..., 2]
    save(tmp_path / "steel" / "a.png", np.where(red, 255, 0).astype(np.uint8))
    report_on(tmp_path / "photos", tmp_path / "out", settings=Settings(steel=tmp_path / "steel"))
    (photo,) = json.loads((tmp_path / "out" / "findings.json").read_text())["photos"]
    assert (photo["surface"], photo["corroded_percent"]) == ("steel mask", 100)


def test_photos_without_a_steel_mask_are_counted(tmp_path, capsys):
    photos, steel = sample_photos(tmp_path / "photos"), tmp_path / "steel"
    save(steel / "tank" / "left.png", np.full((60, 80), 255, np.uint8))
    first = next(path for path in list_photos(photos, tmp_path / "out") if path.stem != "left")
    main(["report", str(photos), "--out", str(tmp_path / "out"), "--model", str(SHIPPED_LITERT), "--steel", str(steel)])
    count = len(list_photos(photos, tmp_path / "out"))
    line = f"no steel mask for {count - 1} of {count} photos, {first.relative_to(photos).as_posix()} among them"
    assert line in capsys.readouterr().err


def test_a_link_that_leads_nowhere_is_listed_as_failed(tmp_path):
    photos = sample_photos(tmp_path / "photos")
    (photos / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert "does not exist" in report_on(photos, tmp_path / "out").failed["gone.jpg"]


def test_a_disk_without_locks_does_not_stop_a_report(tmp_path, monkeypatch):
    import fcntl

    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert report_on(sample_photos(tmp_path / "photos"), tmp_path / "out").entries


def test_a_surface_without_steel_is_named(tmp_path):
    photos, steel, table = sample_photos(tmp_path / "photos"), tmp_path / "steel", tmp_path / "assets.csv"
    save(steel / "tank" / "left.png", np.zeros((60, 80), np.uint8))
    table.write_text("photo,asset,region\nCDM_1_IMG_0.png,A,0 0 0.1 0.1\n")
    report = report_on(photos, tmp_path / "out", by=str(table), settings=Settings(steel=steel))
    assert "left.png: it marks no steel. Draw it, or remove it." in report.failed["tank/left.png"]
    assert "Correct the region" in report.failed["CDM_1_IMG_0.png"]


def test_a_threshold_that_marks_everything_is_refused(tmp_path):
    with pytest.raises(CorrosegError, match="threshold is 0"):
        report_on(sample_photos(tmp_path / "photos"), tmp_path / "out", settings=Settings(threshold=0.0))


def test_steel_masks_that_do_not_fit_are_named(tmp_path):
    photos, steel = sample_photos(tmp_path / "photos"), tmp_path / "steel"
    save(steel / "elsewhere" / "left.png", np.full((60, 80), 255, np.uint8))
    with pytest.raises(CorrosegError, match="no steel mask fits a photo.*CDM_1_IMG_0.png"):
        report_on(photos, tmp_path / "out", settings=Settings(steel=steel))
    save(steel / "tank" / "left.png", np.full((7, 7), 255, np.uint8))
    (steel / "CDM_1_IMG_2.png").write_bytes(b"no picture")
    report = report_on(photos, tmp_path / "out", settings=Settings(steel=steel))
    assert set(report.failed) == {"tank/left.png", "CDM_1_IMG_2.png"}
    assert "7 x 7 pixels do not fit a photo of 80 x 60" in report.failed["tank/left.png"]
    assert str(steel / "CDM_1_IMG_2.png") in report.failed["CDM_1_IMG_2.png"]


def test_exif_date_and_rotation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2020:10:05 12:00:00"
    save(tmp_path / "photos" / "a.jpg", photo_with((0, 0, 40, 60)), exif=exif, quality=95)
    report_on(tmp_path / "photos", tmp_path / "out")
    (photo,) = json.loads((tmp_path / "out" / "findings.json").read_text())["photos"]
    assert (photo["width"], photo["height"], photo["date"]) == (60, 80, "2020-10-05")
    assert photo["findings"][0]["box"][2] == 60  # over the whole width, as the photo stands


def test_second_run_repeats_nothing_and_changes_nothing(tmp_path):
    photos, out = sample_photos(tmp_path / "photos"), tmp_path / "out"
    report_on(photos, out)
    before, times = files_in(out), {p: p.stat().st_mtime_ns for p in (out / "photos").iterdir()}
    report_on(photos, out)
    assert files_in(out) == before
    assert {p: p.stat().st_mtime_ns for p in (out / "photos").iterdir()} == times


def test_what_changed_is_inspected_again(tmp_path):
    photos, out = sample_photos(tmp_path / "photos"), tmp_path / "out"
    report_on(photos, out)
    save(photos / "CDM_1_IMG_2.png", photo_with((0, 0, 80, 30)))
    (out / "photos" / f"{safe_key('tank/left.png')}.json").write_text('{"made_from": {')  # cut by a power failure
    (out / "photos" / f"{safe_key('CDS_2_IMG_0.png')}_mask.png").write_bytes(b"")
    (out / "photos" / f"{safe_key('CDM_1_IMG_0.png')}_thumb.jpg").unlink()
    report_on(photos, out)
    fresh = tmp_path / "fresh"
    report_on(photos, fresh)
    assert files_in(out) == files_in(fresh)
    report_on(photos, out, settings=Settings(threshold=0.95))
    assert json.loads((out / "findings.json").read_text())["photos"][0]["corroded_percent"] == 0


def test_a_result_holds_for_its_settings_alone(tmp_path):
    """What a second run in the same folder finds is what a run in a new one does."""
    class Other(ColourSegmenter):
        about = {"network": "another"}

        def probability(self, photo):
            return 1 - super().probability(photo)

    photos, steel, table = sample_photos(tmp_path / "photos"), tmp_path / "steel", tmp_path / "assets.csv"
    runs = iter(range(9))

    def is_made_anew(segmenter=None, **options):
        folders = tmp_path / "out", tmp_path / f"fresh {next(runs)}"
        for out in folders:
            make_report(photos, out, segmenter or ColourSegmenter(), created=CREATED, quiet=True, **options)
        return files_in(folders[0]) == files_in(folders[1])

    assert is_made_anew() and is_made_anew(settings=Settings(scale=0.5)) and is_made_anew(Other())
    for region in ("0 0 50 50", "0 0 50 100"):
        table.write_text(f"photo,asset,region\nCDM_1_IMG_0.png,A,{region}\n")
        assert is_made_anew(by=str(table))
    for columns in (40, 80):
        mask = np.zeros((60, 80), np.uint8)
        mask[:, :columns] = 255
        save(steel / "CDM_1_IMG_0.png", mask)
        assert is_made_anew(settings=Settings(steel=steel))


def test_a_run_that_was_killed_before_it_wrote_a_report_is_carried_on(tmp_path):
    photos, out = sample_photos(tmp_path / "photos"), tmp_path / "out"
    report_on(photos, out)
    whole = files_in(out)
    for name in RESULTS:
        (out / name).unlink()
    assert len(list_photos(tmp_path, tmp_path / "other")) == 5  # its pictures are no photos
    for half in (out / ".writing-a", out / "photos" / ".writing-b"):
        half.write_bytes(b"half")
    report_on(photos, out)
    assert files_in(out) == whole


def test_broken_photos_are_listed_and_the_rest_is_done(tmp_path):
    photos, out = sample_photos(tmp_path / "photos"), tmp_path / "out"
    (photos / "empty.jpg").touch()
    (photos / "text.png").write_text("no picture")
    (photos / "telephone.HEIC").write_bytes(b"no JPEG")
    report = report_on(photos, out)
    assert set(report.failed) == {"empty.jpg", "text.png", "telephone.HEIC"}
    assert "format .heic cannot be read. Save it as JPEG or PNG." in report.failed["telephone.HEIC"]
    (photos / "telephone.HEIC").unlink()
    report_on(photos, out)
    content = json.loads((out / "findings.json").read_text())
    assert len(content["photos"]) == 5
    assert [(f["photo"], bool(f["reason"])) for f in content["failed"]] == [("empty.jpg", True), ("text.png", True)]
    page = (out / "report.html").read_text()
    assert "empty.jpg" in page and "text.png" in page
    save(photos / "empty.jpg", photo_with())
    assert set(report_on(photos, out).failed) == {"text.png"}  # mended, and seen to be


def test_a_photo_broken_since_the_last_run_is_not_reported_with_its_old_result(tmp_path):
    photos, out = sample_photos(tmp_path / "photos"), tmp_path / "out"
    report_on(photos, out)
    (photos / "tank" / "left.png").write_bytes(b"x")
    assert set(report_on(photos, out).failed) == {"tank/left.png"}
    assert "tank/left.png" not in [p["photo"] for p in json.loads((out /
    "findings.json").read_text())["photos"]]


def test_no_photos_is_an_error_that_says_so(tmp_path):
    with pytest.raises(CorrosegError, match="no photo"):
        report_on(tmp_path, tmp_path / "out")
    with pytest.raises(CorrosegError, match="no such folder"):
        report_on(tmp_path / "nowhere", tmp_path / "out")


@pytest.mark.skipif(os.name == "nt", reason="needs file locks of POSIX")
def test_two_runs_at_once_do_not_mix(tmp_path):
    import fcntl

    photos, out = sample_photos(tmp_path / "photos"), tmp_path / "out"
    out.mkdir()
    with open(out / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CorrosegError, match="another run"):
            report_on(photos, out)


@pytest.mark.slow
def test_killed_at_random_and_resumed_equals_an_undisturbed_run(tmp_path):
    photos, chance = tmp_path / "photos", random.Random(7)
    for number in range(40):
        save(photos / f"CDM_{number % 4}_IMG_{number}.png", photo_with((number, 10, number + 20, 40)))
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    report_on(photos, tmp_path / "whole")
    command = [sys.executable, str(HELPERS), str(photos), str(tmp_path / "killed"), "0.05"]
    environment = os.environ | {"PYTHONPATH": str(HELPERS.parent.parent)}
    killed = 0
    for _ in range(4):
        run = subprocess.Popen(command, env=environment)
        finished = len(list((tmp_path / "killed").glob("photos/*.json")))
        deadline = time.monotonic() + 60
        # Let it finish at least one photo more, then kill it wherever it is.
        while len(list((tmp_path / "killed").glob("photos/*.json"))) <= finished and run.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.1))
        run.kill()
        killed += run.wait() != 0
    assert killed == 4
    done = {p: p.stat().st_mtime_ns for p in (tmp_path / "killed").glob("photos/*.json")}
    assert subprocess.run(command, env=environment).returncode == 0
    assert files_in(tmp_path / "killed") == files_in(tmp_path / "whole")
    assert all(p.stat().st_mtime_ns == t for p, t in done.items())  # no finished photo was repeated


@pytest.mark.parametrize(
    "name", ["a b", "../../etc/passwd", "<script>alert(1)</script>", 'x"y', "n\nl", "ö.jpg", "." * 9]
)
def test_keys_are_safe_file_names_and_differ(name):
    key = safe_key(name)
    assert all(c.isascii() and (c.isalnum() or c in "-_") for c in key) and 1 < len(key) < 60
    assert safe_key(name + "x") != key


def test_printable_escapes_what_terminals_obey():
    assert printable("a\nb\x1b[31m") == "a\\nb\\x1b[31m"
    assert printable("rött") == "rött"
    assert printable("\udcff.jpg") == "\\xff.jpg"
