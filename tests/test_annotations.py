import base64
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from report_helpers import CREATED, photo_with, report_on, save

from corroseg_utils.annotations import (
    AnnotationError,
    decode_rle,
    encode_rle,
    labelme_path,
    read_coco,
    read_labelme,
    through_labelme,
    unpack_rle,
    write_labelme,
)
from corroseg_utils.cli import main
from corroseg_utils.corrections import corrections_to_dataset, read_review
from corroseg_utils.dataset import load_arrays, load_mask, read_data
from corroseg_utils.photos import copy_upright, read_photo
from corroseg_utils.polygons import area, fill, trace
from corroseg_utils.report import Settings, make_report
from corroseg_utils.segmenter import Segmenter

SQUARE = [[10, 10], [20, 10], [20, 20], [10, 20]]


def random_masks(count=60):
    rng = np.random.default_rng(1)
    for _ in range(count):
        yield rng.random(rng.integers(1, 16, 2)) < rng.random()


def test_rle_round_trip_of_any_mask_and_part():
    for mask in random_masks():
        np.testing.assert_array_equal(decode_rle(encode_rle(mask, mask.shape)), mask)
        whole = np.zeros((mask.shape[0] + 5, mask.shape[1] + 7), bool)
        whole[2:2 + mask.shape[0], 3:3 + mask.shape[1]] = mask
        np.testing.assert_array_equal(decode_rle(encode_rle(mask, whole.shape, 3, 2)), whole)


def test_rle_of_a_small_mask_at_full_size_takes_the_nearest_pixels():
    rng = np.random.default_rng(2)
    for mask in random_masks():
        (h, w), (height, width) = mask.shape, mask.shape + rng.integers(0, 30, 2)
        whole = np.zeros((h + 2, w + 3), bool)
        whole[1:1 + h, 2:2 + w] = mask
        full = whole[np.arange(height + 2) * (h + 2) // (height + 2)][:, np.arange(width + 3) * (w + 3) // (width + 3)]
        found = encode_rle(mask, (int(height) + 2, int(width) + 3), 2, 1, whole.shape)
        np.testing.assert_array_equal(decode_rle(found), full)


def test_rle_by_hand():
    mask = np.array([[0, 1, 0], [1, 1, 0]], bool)  # columns: 01 11 00
    assert encode_rle(mask, (2, 3)) == {"size": [2, 3], "counts": [1, 1, 0, 2, 2]}
    with pytest.raises(ValueError, match="sum to"):
        decode_rle({"size": [2, 3], "counts": [1, 1]})


def test_packed_rle():
    assert unpack_rle("01020") == [0, 1, 0, 3, 0]  # from the third on, the difference to the one before the last
    assert unpack_rle("P1") == [32]  # 32 = 0 + continued, then 1 * 32
    assert unpack_rle("0050O") == [0, 0, 5, 0, 4]  # O is -1


def test_polygons_give_back_every_mask_exactly():
    for mask in random_masks(200):
        rings = trace(mask)
        np.testing.assert_array_equal(fill(rings, mask.shape), mask)
        painted = np.zeros_like(mask)
        for ring in rings:
            painted[fill([ring], mask.shape)] = area(ring) > 0
        np.testing.assert_array_equal(painted, mask)


def test_a_pixel_belongs_to_the_polygon_around_its_centre():
    assert fill([SQUARE], (30, 30)).sum() == 100
    assert fill([[[0.6, 0], [2, 0], [2, 1], [0.6, 1]]], (1, 3)).tolist() == [[False, True, False]]
    assert fill([[[-5, -5], [50, -5], [50, 50], [-5, 50]]], (3, 4)).all()
    with pytest.raises(ValueError, match="no number"):
        fill([[[0, 0], [float("nan"), 1], [1, 1]]], (3, 3))


@pytest.fixture
def photos(tmp_path):
    save(tmp_path / "photos" / "CDM_1_a.png", photo_with((10, 10, 50, 40), (60, 5, 75, 15)))
    save(tmp_path / "photos" / "sub" / "CDM_2_b.png", photo_with((0, 0, 30, 60)))
    save(tmp_path / "photos" / "CDM_3_c.png", photo_with())
    return tmp_path / "photos"


@pytest.fixture
def report(tmp_path, photos):
    report_on(photos, tmp_path / "report")
    return tmp_path / "report"


def truth(photos, name):
    photo = np.asarray(Image.open(photos / name)).astype(int)
    return (photo[..., 0] > photo[..., 2]).astype(np.uint8)


def write_coco(path, annotations, name="CDM_1_a.png", width=80, height=60, category="corrosion"):
    content = {"images": [{"id": 5, "file_name": name, "width": width, "height": height}],
               "categories": [{"id": 9, "name": category}],
               "annotations": [{"id": i, "image_id": 5, "category_id": 9, "segmentation": s}
                               for i, s in enumerate(annotations)]}
    path.write_text(json.dumps(content))
    return path


def test_report_to_coco_and_back_is_exact(report, photos):
    masks = dict(read_coco(report / "coco.json", photos))
    assert set(masks) == {"CDM_1_a.png", "sub/CDM_2_b.png", "CDM_3_c.png"}
    for name, mask in masks.items():
        np.testing.assert_array_equal(mask, truth(photos, name))


@pytest.mark.parametrize(
    ("segmentation", "pixels"),
    [([[10, 10, 20, 10, 20, 20, 10, 20]], 100), ([[0, 0, 4, 0, 4, 4, 0, 4], [10, 10, 12, 10, 12, 12, 10, 12]], 20),
     ({"size": [60, 80], "counts": [10, 5, 4785]}, 5), ({"size": [60, 80], "counts": "packed"}, 5)],
)
def test_coco_polygons_and_run_lengths(tmp_path, photos, segmentation, pixels):
    if isinstance(segmentation, dict) and segmentation["counts"] == "packed":
        segmentation = {"size": [60, 80], "counts": pack([10, 5, 4785])}
    ((_, mask),) = read_coco(write_coco(tmp_path / "c.json", [segmentation]), photos)
    assert mask.sum() == pixels and mask.max() == 1


def pack(counts):
    """The writer that `unpack_rle` undoes, straight from the description of COCO's format."""
    text = ""
    for index, value in enumerate(counts):
        value -= counts[index - 2] if index > 2 else 0
        more = True
        while more:
            bits, value = value & 0x1F, value >> 5
            more = value != (-1 if bits & 0x10 else 0)
            text += chr(48 + (bits | (0x20 if more else 0)))
    return text


def test_packing_and_unpacking_agree():
    rng = np.random.default_rng(3)
    for _ in range(50):
        counts = rng.integers(0, 100_000, rng.integers(1, 30)).tolist()
        assert unpack_rle(pack(counts)) == counts


def test_more_severe_class_wins_in_coco(tmp_path, photos):
    path = write_coco(tmp_path / "c.json", [[[0, 0, 20, 0, 20, 20, 0, 20]]])
    content = json.loads(path.read_text())
    content["categories"].append({"id": 1, "name": "lom"})
    content["annotations"].insert(0, {"id": 7, "image_id": 5, "category_id": 1,
                                      "segmentation": [[0, 0, 10, 0, 10, 10, 0, 10]]})
    path.write_text(json.dumps(content))
    ((_, mask),) = read_coco(path, photos)
    assert np.bincount(mask.ravel(), minlength=5).tolist() == [4800 - 400, 300, 0, 0, 100]


def test_cor_wins_over_rus_although_its_index_is_lower(tmp_path, photos):
    path = write_coco(tmp_path / "c.json", [[[0, 0, 20, 0, 20, 20, 0, 20]]], category="Corrosion")  # in capitals too
    content = json.loads(path.read_text())
    content["categories"].append({"id": 1, "name": "RUS"})
    content["annotations"].append({"id": 7, "image_id": 5, "category_id": 1,
                                   "segmentation": [[10, 0, 30, 0, 30, 20, 10, 20]]})
    path.write_text(json.dumps(content))
    ((_, mask),) = read_coco(path, photos)
    assert np.bincount(mask.ravel(), minlength=3).tolist() == [4800 - 600, 400, 200]


def test_a_labelme_file_may_name_its_photo_alone(tmp_path, photos):
    """As LabelMe does where file and photo lay in one folder when it was drawn."""
    folder = tmp_path / "labelme"
    folder.mkdir()
    shape = {"label": "cor", "shape_type": "polygon", "points": SQUARE}
    (folder / "a.json").write_text(json.dumps({"shapes": [shape], "imagePath": "CDM_1_a.png", "imageHeight": 60,
                                               "imageWidth": 80}))
    ((name, mask),) = read_labelme(folder, photos)
    assert name == "CDM_1_a.png" and mask.sum() == 100


def test_labelme_round_trip_is_exact_with_holes_and_islands(tmp_path, photos):
    mask = np.zeros((60, 80), np.uint8)
    mask[5:50, 5:70] = 1
    mask[15:40, 15:60] = 0
    mask[20:30, 20:30] = 3
    mask[24:26, 24:26] = 0
    write_labelme(tmp_path / "labelme", photos / "CDM_1_a.png", "CDM_1_a.png", mask, tolerance=0)
    ((name, again),) = read_labelme(tmp_path / "labelme", photos)
    assert name == "CDM_1_a.png"
    np.testing.assert_array_equal(again, mask)


def test_labelme_with_tolerance_has_few_corners_and_stays_close(tmp_path, photos):
    y, x = np.mgrid[:60, :80]
    mask = ((x - 40) ** 2 + (y - 30) ** 2 < 25**2).astype(np.uint8)
    path = write_labelme(tmp_path / "labelme", photos / "sub" / "CDM_2_b.png", "sub/CDM_2_b.png", mask)
    assert len(json.loads(path.read_text())["shapes"][0]["points"]) < 40
    ((name, again),) = read_labelme(tmp_path / "labelme", photos)
    assert name == "sub/CDM_2_b.png"
    assert (again != mask).sum() < 0.05 * mask.sum()


def test_labelme_with_tolerance_loses_no_thin_region(tmp_path):
    mask = np.zeros((60, 80), np.uint8)
    mask[5, 5:40] = 1  # a crack, one pixel wide
    mask[30, 30] = 2
    mask[40:50, 40:50] = 3
    mask[44, 44] = 0
    np.testing.assert_array_equal(through_labelme(mask), mask)


@pytest.mark.parametrize(("hole_of", "island"), [(1, 3), (3, 1)])
def test_labelme_keeps_an_island_that_fills_a_hole(hole_of, island):
    y, x = np.mgrid[:60, :80]
    disc = (x - 40) ** 2 + (y - 30) ** 2 < 20**2
    mask = np.where(disc, island, hole_of).astype(np.uint8)
    np.testing.assert_array_equal(through_labelme(mask, tolerance=0), mask)
    assert (through_labelme(mask) != mask).sum() < 0.1 * disc.sum()


def test_labelme_of_any_classes_side_by_side_is_exact():
    rng = np.random.default_rng(4)
    for _ in range(60):
        mask = rng.choice(5, rng.integers(1, 12, 2), p=[0.1, 0.1, 0.1, 0.6, 0.1]).astype(np.uint8)
        np.testing.assert_array_equal(through_labelme(mask, tolerance=0), mask)


def test_labelme_files_that_are_there_stay_as_they_are(tmp_path, report, photos, capsys):
    command = ["corrections", str(report), "--photos", str(photos), "--out", str(tmp_path / "labelme")]
    assert main([*command, "--to-labelme"]) == 0
    assert "3 LabelMe files are new" in capsys.readouterr().out
    redrawn, other, _ = sorted((tmp_path / "labelme").iterdir())
    redrawn.write_text("a day's work")
    other.unlink()
    assert main([*command, "--to-labelme"]) == 0
    shown = capsys.readouterr().out
    assert "2 files were there already" in shown and "1 LabelMe files are new" in shown
    assert redrawn.read_text() == "a day's work" and other.exists()


@pytest.mark.parametrize("option", ["--review", "--annotations"])
def test_files_to_be_corrected_are_not_written_while_corrections_are_read(tmp_path, report, photos, capsys, option):
    assert main(["corrections", str(report), "--photos", str(photos), "--out", str(tmp_path / "out"), "--to-labelme",
                 option, str(tmp_path / "any.json")]) == 2
    assert "one or the other" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_labelme_shapes(tmp_path, photos):
    picture = io.BytesIO()
    Image.fromarray(np.array([[0, 255], [255, 255]], np.uint8)).save(picture, "PNG")
    shapes = [
        {"label": "rust", "shape_type": "rectangle", "points": [[20, 20], [10, 10]]},
        {"label": "background", "shape_type": "polygon", "points": [[10, 10], [12, 10], [12, 12], [10, 12]]},
        {"label": "cor", "shape_type": "circle", "points": [[40, 30], [45, 30]]},
        {"label": "pit", "shape_type": "mask", "points": [[70, 50], [71, 51]],
         "mask": base64.b64encode(picture.getvalue()).decode()},
    ]
    folder = tmp_path / "labelme"
    folder.mkdir()
    content = {"shapes": shapes, "imagePath": "..\\photos\\CDM_1_a.png", "imageHeight": 60, "imageWidth": 80}
    (folder / "a.json").write_text(json.dumps(content))
    ((_, mask),) = read_labelme(folder, photos)
    counts = np.bincount(mask.ravel(), minlength=5)
    assert counts[2] == 96 and counts[3] == 3
    assert abs(counts[1] - np.pi * 25) < 4


@pytest.mark.parametrize(
    ("change", "message"),
    [({"category": "moss"}, "moss"), ({"name": "nowhere.png"}, "nowhere.png"), ({"name": "../../x.png"}, "leads out"),
     ({"name": "/etc/passwd"}, "leads out"), ({"width": 81}, "full size")],
)
def test_coco_that_does_not_fit_is_explained(tmp_path, photos, change, message):
    with pytest.raises(AnnotationError, match=message):
        list(read_coco(write_coco(tmp_path / "c.json", [], **change), photos))


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 5000, '{"images": 1}', "\x00", '{"categories":[1]}'])
def test_files_that_are_no_annotations_are_explained(tmp_path, photos, text):
    folder = tmp_path / "labelme"
    folder.mkdir()
    (folder / "a.json").write_text(text)
    with pytest.raises(AnnotationError, match="a.json"):
        list(read_labelme(folder, photos))
    with pytest.raises(AnnotationError, match="a.json"):
        list(read_coco(folder / "a.json", photos))
    with pytest.raises(AnnotationError, match="a.json"):
        read_review(folder / "a.json")


def test_a_review_made_by_hand(tmp_path):
    review = tmp_path / "review.json"
    text = '{"schema": "corroseg-review/1", "photos": {"a.jpg": {"1": {"verdict": "%s"}, "2": {"comment": "wet"}}}}'
    review.write_bytes(b"\xef\xbb\xbf" + (text % "reject").encode())  # as an editor on Windows saves it
    assert read_review(review) == ({"a.jpg": {1: "reject"}}, {})
    review.write_text((text % "reject").replace("review/1", "review/2"))
    with pytest.raises(AnnotationError, match="its schema is 'corroseg-review/2'"):
        read_review(review)
    review.write_text(text % "rejected")
    with pytest.raises(AnnotationError, match=r"review.json: not a review \(a verdict is confirm, reject or empty, and "
                                              r"not 'rejected'\)"):
        read_review(review)


def write_review(path, photos, fingerprints=None):
    notes = {name: {str(n): {"verdict": verdict, "comment": ""} for n, verdict in verdicts.items()}
             for name, verdicts in photos.items()}
    path.write_text(json.dumps({"schema": "corroseg-review/1", "photos": notes, "fingerprints": fingerprints or {}}))
    return path


def test_review_becomes_a_data_set_without_the_rejected_finding(tmp_path, report, photos):
    review = write_review(tmp_path / "review.json", {"CDM_1_a.png": {1: "confirm", 2: "reject"}, "CDM_3_c.png": {}})
    assert corrections_to_dataset(report, photos, tmp_path / "data", review) == ["CDM_1_a.png"]
    manifest = read_data(tmp_path / "data" / "manifest.csv")
    assert manifest["group"].tolist() == ["CDM_1"]
    _, masks = load_arrays(manifest, 80)
    expected = truth(photos, "CDM_1_a.png")
    expected[5:15, 60:75] = 0
    assert masks.sum() > 0
    stored = np.asarray(Image.open(next((tmp_path / "data" / "masks").glob("*.png"))))
    np.testing.assert_array_equal(stored, expected)


def test_a_review_keeps_the_kinds_of_damage(tmp_path):
    def logits(photos):  # background, rust where it is red, pitting where it is blue
        photos = photos.astype(np.float32)
        red, blue = photos[..., 0] - photos[..., 2] - 60, photos[..., 2] - photos[..., 0] - 60
        return np.stack([np.zeros_like(red), red, blue], -1)

    photo = photo_with((0, 0, 40, 30), (80, 0, 90, 10), size=(96, 72))
    photo[40:50, 60:90] = (40, 60, 200)
    save(tmp_path / "photos" / "a.png", photo)
    about = {"network": "colours", "size": 96, "classes": ["background", "rus", "pit"], "threshold": 0.5}
    make_report(tmp_path / "photos", tmp_path / "report", Segmenter(logits, about), created=CREATED, quiet=True)
    review = write_review(tmp_path / "review.json", {"a.png": {1: "confirm", 3: "reject"}})
    corrections_to_dataset(tmp_path / "report", tmp_path / "photos", tmp_path / "data", review)
    (row,) = read_data(tmp_path / "data" / "manifest.csv").to_dict("records")
    mask = load_mask(row["photo"], row["findings"], (96, 72))
    assert np.bincount(mask.ravel(), minlength=5).tolist() == [96 * 72 - 1500, 0, 1200, 300, 0]


def test_files_of_a_killed_run_do_not_get_into_the_data_set(tmp_path, report, photos):
    save(tmp_path / ".data.part" / "images" / "stale.png", photo_with())
    review = write_review(tmp_path / "review.json", {"CDM_1_a.png": {1: "confirm"}})
    corrections_to_dataset(report, photos, tmp_path / "data", review)
    assert len(list((tmp_path / "data" / "images").iterdir())) == 1 and not (tmp_path / ".data.part").exists()


def test_redrawn_masks_win_over_the_review(tmp_path, report, photos):
    review = write_review(tmp_path / "review.json", {"CDM_1_a.png": {1: "reject"}, "sub/CDM_2_b.png": {1: "confirm"}})
    redrawn = write_coco(tmp_path / "coco.json", [[[0, 0, 10, 0, 10, 10, 0, 10]]])
    names = corrections_to_dataset(report, photos, tmp_path / "data", review, redrawn)
    assert names == ["CDM_1_a.png", "sub/CDM_2_b.png"]
    manifest = read_data(tmp_path / "data" / "manifest.csv")
    sums = [np.asarray(Image.open(findings[0].path)).sum() for findings in manifest["findings"]]
    assert sums == [100, 1800]


@pytest.fixture
def round_report(tmp_path, photos):
    """A round finding, from which polygons with few corners stray."""
    y, x = np.mgrid[:60, :80]
    disc = (x - 40) ** 2 + (y - 30) ** 2 < 25**2
    save(photos / "sub" / "CDM_2_b.png", np.where(disc[..., None], photo_with((0, 0, 80, 60)), photo_with()))
    report_on(photos, tmp_path / "report")
    return tmp_path / "report"


@pytest.mark.parametrize("tool", ["coco", "labelme"])
def test_photos_that_come_back_as_they_were_are_left_out(tmp_path, round_report, photos, capsys, tool):
    command = ["corrections", str(round_report), "--photos", str(photos), "--out"]
    path = round_report / "coco.json"
    if tool == "labelme":
        path = tmp_path / "labelme"
        assert main([*command, str(path), "--to-labelme"]) == 0
    assert main([*command, str(tmp_path / "data"), "--annotations", str(path)]) == 2
    assert "3 photos are as the report had them" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_what_an_earlier_run_marked_is_no_correction(tmp_path, round_report, photos, capsys):
    command = ["corrections", str(round_report), "--photos", str(photos), "--out"]
    assert main([*command, str(tmp_path / "labelme"), "--to-labelme"]) == 0
    save(photos / "sub" / "CDM_2_b.png", photo_with())
    report_on(photos, tmp_path / "report")  # finds nothing there any more
    command = [*command, str(tmp_path / "data"), "--annotations", str(tmp_path / "labelme")]
    assert main(command) == 2
    assert "3 photos are as the report had them" in capsys.readouterr().err
    file = labelme_path(tmp_path / "labelme", "sub/CDM_2_b.png")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"shapes": []}))  # as that report has it, but by hand
    assert main(command) == 0
    assert "2 photos are as the report had them" in capsys.readouterr().err
    (row,) = read_data(tmp_path / "data" / "manifest.csv").to_dict("records")
    assert load_mask(row["photo"], row["findings"], (80, 60)).sum() == 0


def test_a_mask_drawn_by_a_program_of_ones_own_is_a_correction(tmp_path, report, photos):
    mask = np.zeros((60, 80), np.uint8)
    mask[5:25, 40:70] = 1
    write_labelme(tmp_path / "labelme", photos / "sub" / "CDM_2_b.png", "sub/CDM_2_b.png", mask)
    names = corrections_to_dataset(report, photos, tmp_path / "data", annotations=tmp_path / "labelme")
    assert names == ["sub/CDM_2_b.png"]
    (row,) = read_data(tmp_path / "data" / "manifest.csv").to_dict("records")
    np.testing.assert_array_equal(load_mask(row["photo"], row["findings"], (80, 60)), mask)


def test_a_photo_that_was_not_redrawn_goes_by_its_review(tmp_path, report, photos):
    content = json.loads((report / "coco.json").read_text())
    assert content["images"][content["annotations"].pop()["image_id"] - 1]["file_name"] == "sub/CDM_2_b.png"
    (tmp_path / "coco.json").write_text(json.dumps(content))
    review = write_review(tmp_path / "review.json", {"CDM_1_a.png": {2: "reject"}})
    names = corrections_to_dataset(report, photos, tmp_path / "data", review, tmp_path / "coco.json")
    assert names == ["CDM_1_a.png", "sub/CDM_2_b.png"]
    masks = sorted(np.asarray(Image.open(path)).sum() for path in (tmp_path / "data" / "masks").iterdir())
    assert masks == [0, 1200]


def test_a_photo_inspected_in_part_is_left_out(tmp_path, photos, capsys):
    (tmp_path / "t.csv").write_text("photo,asset,region\nCDM_1_a.png,A,0 0 50 100\n")
    report_on(photos, tmp_path / "report", by=str(tmp_path / "t.csv"))
    verdicts = {"CDM_1_a.png": {1: "confirm"}, "sub/CDM_2_b.png": {1: "confirm"}}
    review = write_review(tmp_path / "review.json", verdicts)
    names = corrections_to_dataset(tmp_path / "report", photos, tmp_path / "data", review)
    assert names == ["sub/CDM_2_b.png"]
    assert "review.json: 1 photos were inspected in a part alone" in capsys.readouterr().err


def test_a_photo_of_another_visit_is_not_taken_for_the_one_inspected(tmp_path, report, photos):
    review = write_review(tmp_path / "review.json", {"CDM_1_a.png": {1: "confirm"}})
    other = tmp_path / "other"
    shutil.copytree(photos, other)
    with Image.open(other / "CDM_1_a.png") as image:  # another picture of the same size
        Image.effect_noise(image.size, 50).convert("RGB").save(other / "CDM_1_a.png")
    with pytest.raises(AnnotationError, match="CDM_1_a.png: this is not the photo that was inspected: it has"):
        corrections_to_dataset(report, other, tmp_path / "data", review)
    assert not (tmp_path / "data").exists()
    assert main(["corrections", str(report), "--photos", str(other), "--out", str(tmp_path / "labelme"),
                 "--to-labelme"]) == 2


def test_earlier_corrections_are_not_dropped(tmp_path, report, photos):
    review = write_review(tmp_path / "review.json", {"CDM_1_a.png": {1: "confirm"}})
    corrections_to_dataset(report, photos, tmp_path / "data", review)
    before = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    other = write_review(tmp_path / "other.json", {"sub/CDM_2_b.png": {1: "confirm"}})
    with pytest.raises(AnnotationError, match=r"data: there are files in this folder already"):
        corrections_to_dataset(report, photos, tmp_path / "data", other)
    assert {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()} == before


def test_turned_photos_are_stored_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down: the size alone does not give it away
    save(tmp_path / "photos" / "a.jpg", photo_with((0, 0, 40, 30)), exif=exif, quality=95)
    report_on(tmp_path / "photos", tmp_path / "report")
    corrections_to_dataset(tmp_path / "report", tmp_path / "photos", tmp_path / "data",
                           write_review(tmp_path / "review.json", {"a.jpg": {1: "confirm"}}))
    photos, masks = load_arrays(read_data(tmp_path / "data" / "manifest.csv"), 64)
    red = photos[0].astype(int)
    assert ((red[..., 0] > red[..., 2]) == (masks[0] > 0)).mean() > 0.97


def test_a_photo_that_is_turned_keeps_its_quality(tmp_path):
    """Noise is what a strong compression spoils first."""
    noise, exif = np.random.default_rng(0).integers(100, 160, (60, 80, 3)).astype(np.uint8), Image.Exif()
    exif[0x0112] = 3
    photo = save(tmp_path / "a.jpg", noise, exif=exif, quality=95)
    copy = copy_upright(photo, tmp_path / "copy" / "a.jpg")
    assert np.abs(read_photo(copy).astype(int) - read_photo(photo)).mean() < 3


def test_a_review_without_a_verdict_is_an_error(tmp_path, report, photos):
    with pytest.raises(AnnotationError, match="Nothing"):
        corrections_to_dataset(report, photos, tmp_path / "data", write_review(tmp_path / "r.json", {}))


def test_a_review_holds_as_long_as_the_findings_do(tmp_path):
    """A faint large finding 1 and a sure small one: without the faint one, the sure one is number 1."""
    photo = photo_with((60, 5, 75, 15))
    photo[10:40, 10:50] = (140, 100, 70)  # probability 0.53
    photos, out = save(tmp_path / "photos" / "a.png", photo).parent, tmp_path / "report"
    report_on(photos, out)
    (before,) = json.loads((out / "findings.json").read_text())["photos"]
    review = write_review(tmp_path / "review.json", {"a.png": {1: "reject"}}, {"a.png": before["fingerprint"]})
    save(photos / "b.png", photo_with((0, 0, 9, 9)))
    report_on(photos, out, created="2027-01-02T03:04:05+00:00")
    assert corrections_to_dataset(out, photos, tmp_path / "data", review) == ["a.png"]
    report_on(photos, out, settings=Settings(threshold=0.8))
    with pytest.raises(AnnotationError, match=r"review\.json: .*other findings in 'a\.png'.*save it again"):
        corrections_to_dataset(out, photos, tmp_path / "other", review)
    assert not (tmp_path / "other").exists()


def test_a_review_can_judge_what_is_not_listed(tmp_path):
    """Specks of one pixel in photos of 30,000; a finding has three at least."""
    photos, size = tmp_path / "photos", (200, 150)
    speck = (100, 100, 101, 101)
    for name, boxes in (("a", [(0, 0, 10, 10), speck]), ("b", [(0, 0, 10, 10), speck]), ("c", [speck]), ("d", [])):
        save(photos / f"{name}.png", photo_with(*boxes, size=size))
    report_on(photos, tmp_path / "report")
    verdicts = {"a.png": {1: "reject"}, "b.png": {0: "reject"}, "c.png": {0: "confirm"}, "d.png": {0: "confirm"}}
    review = write_review(tmp_path / "review.json", verdicts)
    names = corrections_to_dataset(tmp_path / "report", photos, tmp_path / "data", review)
    assert names == ["a.png", "b.png", "c.png", "d.png"]
    rows = read_data(tmp_path / "data" / "manifest.csv").to_dict("records")
    assert [int((load_mask(r["photo"], r["findings"], size) > 0).sum()) for r in rows] == [1, 100, 1, 0]


@pytest.mark.parametrize(("judged", "message"), [
    ({"sound.png": {0: "reject"}}, "nothing is marked in 'sound.png', so nothing can be rejected"),
    ({"rust.png": {0: "reject"}}, "number 0 in 'rust.png', where the report lists 1 findings and no smaller regions"),
    ({"rust.png": {1: "reject", 7: "confirm"}}, "number 7 in 'rust.png'"),
    ({"rust.png": {1: "confirm"}, "other.png": {1: "confirm"}}, "has no photo 'other.png'"),
])
def test_a_review_of_what_is_not_there_writes_nothing(tmp_path, judged, message):
    save(tmp_path / "photos" / "rust.png", photo_with((0, 0, 10, 10)))
    save(tmp_path / "photos" / "sound.png", photo_with())
    report_on(tmp_path / "photos", tmp_path / "report")
    review = write_review(tmp_path / "review.json", judged)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(AnnotationError, match=f"review.json: .*{message}"):
        corrections_to_dataset(tmp_path / "report", tmp_path / "photos", tmp_path / "data", review)
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_with_files_in_it_is_not_written_to(tmp_path, report, photos):
    review = write_review(tmp_path / "review.json", {"CDM_1_a.png": {1: "confirm"}})
    (tmp_path / "data" / "masks").mkdir(parents=True)
    with pytest.raises(AnnotationError, match="there are files in this folder already"):
        corrections_to_dataset(report, photos, tmp_path / "data", review)
    (tmp_path / "data" / "masks").rmdir()
    assert corrections_to_dataset(report, photos, tmp_path / "data", review) == ["CDM_1_a.png"]


def test_a_review_of_a_photo_with_nothing_listed_holds_as_long_as_nothing_is_marked(tmp_path):
    photos, out = save(tmp_path / "photos" / "a.png", photo_with(size=(200, 150))).parent, tmp_path / "report"
    report_on(photos, out)
    (before,) = json.loads((out / "findings.json").read_text())["photos"]
    review = write_review(tmp_path / "review.json", {"a.png": {0: "confirm"}}, {"a.png": before["fingerprint"]})
    save(photos / "a.png", photo_with((100, 100, 101, 101), size=(200, 150)))
    report_on(photos, out)
    with pytest.raises(AnnotationError, match="other findings in 'a.png'"):
        corrections_to_dataset(out, photos, tmp_path / "data", review)


def test_a_review_does_not_fit_other_photos(tmp_path, report, photos):
    review = write_review(tmp_path / "r.json", {"CDM_1_a.png": {1: "confirm"}})
    save(tmp_path / "others" / "CDM_1_a.png", photo_with(size=(160, 120)))
    with pytest.raises(AnnotationError, match="80 x 60 here, but the photo is not"):
        corrections_to_dataset(report, tmp_path / "others", tmp_path / "data", review)
    with pytest.raises(AnnotationError, match="is not in"):
        corrections_to_dataset(report, tmp_path / "nowhere", tmp_path / "data", review)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("segmentation", [[], [[0, 0, 10, 10]]])
def test_a_box_without_an_outline_is_no_clean_photo(tmp_path, photos, segmentation):
    with pytest.raises(AnnotationError, match="no outline.*only a box"):
        list(read_coco(write_coco(tmp_path / "coco.json", [segmentation]), photos))
