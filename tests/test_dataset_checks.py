"""Every fault that can hide in a data set is planted, found, named with a cure, and left out only when told to."""

import numpy as np
import pytest
from PIL import Image

from corroseg_utils.dataset import DataError, load_arrays, read_data
from corroseg_utils.dataset_checks import check_data, check_groups, checked
from corroseg_utils.photos import write_jpeg, write_png

PHOTO, CLEAN = "CDM_1_IMG_0", "CDM_1_IMG_00"
MASK = f"_cor2_{PHOTO}"


def photo_file(folder):
    return folder / "photos" / f"{PHOTO}.JPG"


def mask_file(folder):
    return folder / "masks" / f"{MASK}.png"


def in_table(folder, old, new):
    table = folder / "support_dataset.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new, 1))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def turn_into(path, **save):
    Image.open(path).convert(save.pop("mode")).save(path, **save)


def mask_values(folder, *values):
    mask = np.zeros((64, 96), np.uint8)
    mask.flat[: len(values)] = values
    write_png(mask_file(folder), mask)


def rename_class(folder, name):
    mask_file(folder).rename(folder / "masks" / f"{name}_{PHOTO}.png")
    in_table(folder, MASK, f"{name}_{PHOTO}")


FAULTS = {  # name: (how to plant it, file that is to be named, words of the problem, rows that are bad)
    "photo missing": (lambda d: photo_file(d).unlink(), f"{PHOTO}.JPG", "does not exist", 1),
    "photo empty": (lambda d: photo_file(d).write_bytes(b""), f"{PHOTO}.JPG", "0 bytes", 1),
    "photo truncated": (lambda d: cut(photo_file(d)), f"{PHOTO}.JPG", "damaged", 1),
    "photo no picture": (lambda d: photo_file(d).write_text("hello"), f"{PHOTO}.JPG", "known format", 1),
    "mask missing": (lambda d: mask_file(d).unlink(), f"{MASK}.png", "does not exist", 1),
    "mask empty": (lambda d: mask_file(d).write_bytes(b""), f"{MASK}.png", "0 bytes", 1),
    "mask truncated": (lambda d: cut(mask_file(d)), f"{MASK}.png", "damaged", 1),
    "mask no picture": (lambda d: mask_file(d).write_text("hello"), f"{MASK}.png", "known format", 1),
    "mask of another size": (lambda d: write_png(mask_file(d), np.zeros((64, 95), np.uint8)), f"{MASK}.png",
                             "the mask is 95x64, its photo 96x64", 1),
    "mask with greys": (lambda d: mask_values(d, 7, 255, 80), f"{MASK}.png", "values 7, 80 beside 0 and 255", 1),
    "mask with many greys": (lambda d: mask_values(d, *range(1, 9)), f"{MASK}.png", "1, 2, 3, 4, 5 and 3 more", 1),
    "mask in colour": (lambda d: write_png(mask_file(d), np.full((64, 96, 3), (9, 0, 0), np.uint8)), f"{MASK}.png",
                       "colours", 1),
    "class unknown": (lambda d: rename_class(d, "_dirt1"), f"_dirt1_{PHOTO}.png", "class 'dirt' is unknown", 1),
    "class unreadable": (lambda d: rename_class(d, "cor"), f"cor_{PHOTO}.png", "class '' is unknown", 1),
    "photo listed twice": (lambda d: in_table(d, CLEAN, PHOTO), f"{PHOTO}.JPG", "listed more than once", 2),
    "name twice but for its case": (
        lambda d: (write_jpeg(d / "photos" / f"{PHOTO.lower()}.JPG", np.zeros((64, 96, 3), np.uint8)),
                   in_table(d, "\n" + CLEAN, f"\n{PHOTO.lower()},nothing,nothing,nothing,nothing\n{CLEAN}")),
        f"{PHOTO.lower()}.JPG", "two photos have this name", 2),
    "mask of another photo": (lambda d: in_table(d, f"{CLEAN},nothing", f"{CLEAN},_pit1_{PHOTO}"),
                              f"_pit1_{PHOTO}.png", f"row of {CLEAN}.JPG, whose name it does not bear", 1),
    "mask in no row": (lambda d: in_table(d, MASK, "nothing"), f"{MASK}.png",
                       f"no listed photo (by its name, to {PHOTO})", 0),
    "photo in no row": (lambda d: in_table(d, f"\n{CLEAN},nothing,nothing,nothing,nothing", ""), f"{CLEAN}.JPG",
                        "no row of the table names this photo", 0),
    "split unknown": (lambda d: (d / "split.csv").write_text("group,split\nCDM_1,trian\n"), f"{PHOTO}.JPG",
                      "the split 'trian' is unknown", 2),
}


def test_the_tiny_data_set_is_sound(shared_data_2020):
    manifest = read_data(shared_data_2020)
    assert check_data(manifest) == ([], set())
    sound = checked(manifest)
    assert sound.equals(manifest) and sound.attrs["skipped"] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_named(data_2020, fault):
    plant, name, words, bad_rows = FAULTS[fault]
    plant(data_2020)
    manifest = read_data(data_2020)
    problems, bad = check_data(manifest)
    assert len(bad) == bad_rows
    assert len(problems) >= bad_rows
    assert any(problem.path.name == name and words in problem.what and problem.cure for problem in problems)
    with pytest.raises(DataError) as caught:
        checked(manifest)
    assert name in str(caught.value) and words in str(caught.value)
    sound = checked(manifest, skip_bad=True)
    assert len(sound) == len(manifest) - bad_rows
    assert sound.attrs["skipped"] == problems  # nothing is dropped silently
    load_arrays(sound, 32)


def test_all_problems_are_reported_at_once(data_2020):
    for fault in ("mask truncated", "photo in no row", "class unknown"):
        if fault == "class unknown":
            in_table(data_2020, "_pit1_CDM_2_IMG_1", "_dirt1_CDM_2_IMG_1")
        else:
            FAULTS[fault][0](data_2020)
    (data_2020 / "photos" / "CDS_3_IMG_2.JPG").unlink()
    with pytest.raises(DataError) as caught:
        checked(read_data(data_2020))
    text = str(caught.value)
    # The renamed mask counts thrice: an unknown class, a missing file, and a file that no row names.
    assert text.startswith("6 problem(s) found; mend them, or pass skip_bad (--skip-bad)")
    for words in (f"{MASK}.png: the picture is damaged", f"{CLEAN}.JPG: no row", "class 'dirt'",
                  "_dirt1_CDM_2_IMG_1.png: the file does not exist", "_pit1_CDM_2_IMG_1.png: the mask belongs to no",
                  "CDS_3_IMG_2.JPG: the file does not exist"):
        assert words in text


def test_nothing_left_is_an_error_even_when_told_to_skip(data_2020):
    for photo in (data_2020 / "photos").iterdir():
        photo.write_bytes(b"")
    with pytest.raises(DataError, match="No sound photo is left") as caught:
        checked(read_data(data_2020), skip_bad=True)
    assert str(caught.value).count("0 bytes") == 8


@pytest.mark.parametrize("save", [
    {"mode": "L"}, {"mode": "CMYK"}, {"mode": "RGBA", "format": "PNG"}, {"mode": "P", "format": "PNG"},
    {"mode": "I;16", "format": "PNG"},
], ids=lambda save: save["mode"])
def test_a_photo_in_another_colour_mode_is_sound(data_2020, save):
    if save["mode"] == "I;16":
        values = np.asarray(Image.open(photo_file(data_2020)).convert("L")).astype(np.uint16) * 257
        Image.fromarray(values).save(photo_file(data_2020), "PNG")
    else:
        turn_into(photo_file(data_2020), **save)
    assert check_data(read_data(data_2020))[0] == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_photo_fits_its_mask(data_2020, orientation):
    before = load_arrays(read_data(data_2020), 96)
    image = Image.open(photo_file(data_2020))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(photo_file(data_2020), exif=exif, quality=95)
    manifest = read_data(data_2020)
    assert check_data(manifest)[0] == []
    photos, masks = load_arrays(manifest, 96)
    red = photos[0, ..., 0].astype(int) - photos[0, ..., 2] > 60
    assert (red == masks[0]).mean() > 0.97  # the mask lies on the red that it marks
    assert orientation == 1 or not np.array_equal(masks[0], before[1][0])


def folder_pair(folder, mask):
    write_png(folder / "images" / "a.png", np.zeros((4, 4, 3), np.uint8))
    write_png(folder / "masks" / "a.png", np.array(mask, np.uint8))
    return read_data(folder)


def test_a_folder_pair_may_be_black_and_white_or_hold_indices(tmp_path):
    for mask in (np.eye(4) * 255, np.eye(4) * 4, np.zeros((4, 4)), np.full((4, 4), 255)):
        assert check_data(folder_pair(tmp_path, mask))[0] == []
    for mask, words in ((np.eye(4) * 5, "values 5 beside class indices 0-4"),
                        (np.eye(4) + 254 * np.eye(4, k=1), "values 254 beside class indices 0-4")):
        (problem,) = check_data(folder_pair(tmp_path, mask))[0]
        assert words in problem.what


def test_a_folder_pair_without_partner(tmp_path):
    folder_pair(tmp_path, np.zeros((4, 4)))
    (tmp_path / "images" / "a.png").rename(tmp_path / "images" / "b.png")
    problems = check_data(read_data(tmp_path))[0]
    assert [problem.path.name for problem in problems] == ["a.png", "b.png"]
    assert "belongs to no listed photo" in problems[0].what and "does not exist" in problems[1].what


def test_two_photos_of_one_stem_share_a_mask_and_are_reported(tmp_path):
    folder_pair(tmp_path, np.zeros((4, 4)))
    write_jpeg(tmp_path / "images" / "a.jpg", np.zeros((4, 4, 3), np.uint8))
    problems, bad = check_data(read_data(tmp_path))
    assert len(bad) == 2 and all("two photos have this name" in problem.what for problem in problems)


def test_a_manifest_csv_with_one_mask_for_two_photos(tmp_path):
    folder_pair(tmp_path, np.zeros((4, 4)))
    write_png(tmp_path / "images" / "b.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "m.csv").write_text("image,mask\nimages/a.png,masks/a.png\nimages/b.png,masks/a.png\n")
    problems, bad = check_data(read_data(tmp_path / "m.csv"))
    assert bad == {0, 1} and all("rows of several photos" in problem.what for problem in problems)


def test_a_group_that_a_split_divides_is_named(tmp_path):
    (tmp_path / "m.csv").write_text("image,mask,group,split\na.png,,tank,train\nb.png,,tank,test\nc.png,,pipe,train\n")
    manifest = read_data(tmp_path / "m.csv")
    with pytest.raises(DataError, match="m.csv: 1 groups are in more than one split, 'tank' among them"):
        check_groups(manifest, "m.csv")
    check_groups(manifest.assign(split="train"), "m.csv")
