from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from conftest import HEIGHT, JOBS, WIDTH, tiny_photo

from corroseg_utils.dataset import (
    CLASS_NAMES,
    DataError,
    Finding,
    job_of,
    load_arrays,
    load_mask,
    load_pair,
    merge_findings,
    parse_finding,
    read_2020,
    read_data,
    read_manifest,
    read_pairs,
    split_by_group,
)
from corroseg_utils.photos import write_png

REAL = Path(__file__).resolve().parent.parent.parent / "shared" / "real" / "manifest.csv"


def test_the_2020_layout_becomes_a_manifest(shared_data_2020):
    manifest = read_data(shared_data_2020)
    assert len(manifest) == 2 * len(JOBS)
    first = manifest.iloc[0]
    assert first["photo"] == shared_data_2020 / "photos" / "CDM_1_IMG_0.JPG"
    assert (first["group"], first["split"]) == ("CDM_1", "train")
    masks = shared_data_2020 / "masks"
    assert first["findings"] == (Finding(masks / "_cor2_CDM_1_IMG_0.png", "cor", 2),
                                 Finding(masks / "_pit1_CDM_1_IMG_0.png", "pit", 1))
    assert manifest.iloc[1]["findings"] == ()  # the word nothing
    assert dict(zip(manifest["group"], manifest["split"], strict=True)) == JOBS


def test_photos_and_masks_may_lie_in_one_folder(data_2020):
    for folder in ("photos", "masks"):
        for file in (data_2020 / folder).iterdir():
            file.rename(data_2020 / file.name)
        (data_2020 / folder).rmdir()
    manifest = read_2020(data_2020)
    assert all(photo.is_file() for photo in manifest["photo"])
    assert all(finding.path.is_file() for findings in manifest["findings"] for finding in findings)


def test_a_photo_is_found_whatever_its_ending(data_2020):
    photo = data_2020 / "photos" / "CDM_1_IMG_0.JPG"
    photo.rename(photo.with_suffix(".jpeg"))
    assert read_2020(data_2020).iloc[0]["photo"] == photo.with_suffix(".jpeg")


def test_a_job_missing_in_split_csv_is_split_by_its_name(data_2020):
    (data_2020 / "split.csv").write_text("group,split\nCDS_4,validation\n")
    manifest = read_2020(data_2020)
    by_name = split_by_group(manifest["group"])
    for job, split, default in zip(manifest["group"], manifest["split"], by_name, strict=True):
        assert split == ("validation" if job == "CDS_4" else default)


def test_split_csv_must_not_name_a_job_twice(data_2020):
    (data_2020 / "split.csv").write_text("group,split\nCDM_1,train\nCDM_1,test\n")
    with pytest.raises(DataError, match=r"split.csv: the group 'CDM_1' is listed more than once"):
        read_2020(data_2020)


def test_a_pair_of_folders_is_paired_by_name(tmp_path):
    for name in ("b", "a", "c"):
        write_png(tmp_path / "images" / f"{name}.png", np.zeros((4, 4, 3), np.uint8))
    write_png(tmp_path / "masks" / "b.png", np.zeros((4, 4), np.uint8))
    manifest = read_data(tmp_path)
    assert [photo.name for photo in manifest["photo"]] == ["a.png", "b.png", "c.png"]
    assert [findings[0].path for findings in manifest["findings"]] == [
        tmp_path / "masks" / name for name in ("a.png", "b.png", "c.png")]
    assert list(manifest["group"]) == ["a", "b", "c"]


def test_a_job_stays_together_in_a_pair_of_folders(tmp_path):
    names = [f"CDM_{job}_IMG_{number}" for job in range(4) for number in range(3)]
    for name in names:
        write_png(tmp_path / "images" / f"{name}.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "masks").mkdir()
    manifest = read_data(tmp_path)
    assert manifest["group"].tolist() == [name[:5] for name in names]
    assert manifest["split"].tolist() == split_by_group(manifest["group"])


def test_a_manifest_csv(tmp_path):
    (tmp_path / "m.csv").write_text(
        "image,mask,source,group,fold,note\ni/1.jpg,m/1.png,x,007,0,a\ni/2.jpg,,y,007,1,b\ni/3.jpg,m/3.png,y,,1,c\n")
    manifest = read_data(tmp_path / "m.csv")
    assert list(manifest["photo"]) == [tmp_path / "i" / f"{n}.jpg" for n in (1, 2, 3)]
    # A number stays the text that it is, groups of two sources differ, and no group is a group of its own.
    assert list(manifest["group"]) == ["x/007", "y/007", "y/3"]
    assert manifest["findings"][0] == (Finding(tmp_path / "m" / "1.png", "index", 0),)
    assert manifest["findings"][1] == ()
    assert list(manifest["note"]) == ["a", "b", "c"]
    assert list(manifest["split"]) == split_by_group(manifest["group"])


def test_a_group_named_as_pandas_names_a_gap_is_a_group(tmp_path):
    """Else each photo of the asset NA would be a group of its own, and a split would divide them."""
    for number in range(3):
        write_png(tmp_path / f"{number}.png", np.zeros((8, 8), np.uint8))
    (tmp_path / "m.csv").write_text("image,mask,group,fold\n0.png,0.png,NA,1\n1.png,,NA,\n2.png,,,2\n")
    manifest = read_data(tmp_path / "m.csv")
    assert manifest["group"].tolist() == ["NA", "NA", "2"]
    assert [len(findings) for findings in manifest["findings"]] == [1, 0, 0] and manifest["fold"].isna().sum() == 1


@pytest.mark.parametrize(("name", "header", "row"), [
    ("m.csv", "image,mask", "a.jpg,_cor1_a.png"),
    ("support_dataset.csv", "images_names,mask_1,mask_2,mask_3,mask_4", "a,_cor1_a,nothing,nothing,nothing")])
def test_a_comma_too_many_does_not_move_the_columns(tmp_path, name, header, row):
    path = tmp_path / name if name == "m.csv" else tmp_path
    (tmp_path / name).write_text(f"{header}\n{row},\n{row},\n")
    for photo in read_data(path).to_dict("records"):
        assert photo["photo"].stem == "a" and [finding.path.name for finding in photo["findings"]] == ["_cor1_a.png"]
    (tmp_path / name).write_text(f"{header}\n{row},more\n")
    with pytest.raises(DataError, match=f"{name}: not a CSV table .* with as many cells in each row as in the first"):
        read_data(path)


def test_a_row_that_was_cut_off_is_no_photo_without_damage(tmp_path):
    table = tmp_path / "m.csv"
    table.write_text("image,mask,\na.jpg,\n\nb.jpg,b.png\nc.jpg")  # a comma at the end of the header names no column
    with pytest.raises(DataError, match="m.csv: row 3 below the header has only 1 of 2 cells. Complete it"):
        read_data(table)
    table.write_text(table.read_text() + ",")  # now its mask is empty, and said to be
    assert [len(findings) for findings in read_data(table)["findings"]] == [0, 1, 0]


def test_a_manifest_csv_may_bring_its_split(tmp_path):
    (tmp_path / "m.csv").write_text("image,mask,split\nCDM_1_a.jpg,a.png,test\nCDM_1_b.jpg,b.png,validation\n")
    manifest = read_manifest(tmp_path / "m.csv")
    assert list(manifest["split"]) == ["test", "validation"]
    assert list(manifest["group"]) == ["CDM_1", "CDM_1"]


@pytest.mark.parametrize(("text", "words"), [
    ("image,group\na.jpg,1\n", "the column 'mask' is missing. Found: image, group"),
    ("image,mask\na.jpg,a.png\n,b.png\n", "'image' is empty in row 2 below the header"),
    ("", "not a CSV table"),
    ("image,mask\n\xe9.jpg,a.png\n", "Save it as CSV in UTF-8"),
])
def test_a_table_that_cannot_be_used_is_named(tmp_path, text, words):
    (tmp_path / "m.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=words) as caught:
        read_manifest(tmp_path / "m.csv")
    assert str(tmp_path / "m.csv") in str(caught.value)


def test_no_data_set_is_an_error_that_says_what_one_is(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "nowhere.csv"):
        with pytest.raises(DataError, match="no data set here. Give a folder with support_dataset.csv"):
            read_data(path)
    with pytest.raises(DataError, match="there is no such folder"):
        read_pairs(tmp_path / "photos", tmp_path / "masks")


def test_mask_names():
    assert parse_finding(Path("_cor2_CDM_23607_IMG_0323.png"))[1:] == ("cor", 2)
    assert parse_finding(Path("_lom5_CDS_1_IMG_1.png"))[1:] == ("lom", 5)
    for unreadable in ("cor2_CDM_1.png", "_cor_CDM_1.png", "_2_CDM_1.png", "_cor2.png"):
        assert parse_finding(Path(unreadable))[1:] == ("", 0)


def test_job_names():
    assert job_of("CDM_23597_IMG_0307") == "CDM_23597"
    assert job_of("CDS_28754_IMG_1234") == "CDS_28754"
    assert job_of("my photo") == "my photo"


def test_split_is_stable_under_added_files_and_never_divides_a_group():
    jobs = [f"CDM_{number}" for number in range(300)]
    before = dict(zip(jobs, split_by_group(jobs), strict=True))
    photos = [job for job in jobs + [f"CDS_{number}" for number in range(200)] for _ in range(3)]
    np.random.default_rng(0).shuffle(photos)
    splits = defaultdict(set)
    for job, split in zip(photos, split_by_group(photos), strict=True):
        splits[job].add(split)
    assert all(len(found) == 1 for found in splits.values())
    assert all(splits[job] == {before[job]} for job in jobs)


def test_split_meets_its_fractions_on_average():
    splits = split_by_group(map(str, range(20_000)))
    for name, share in (("train", 0.7), ("validation", 0.15), ("test", 0.15)):
        assert splits.count(name) / 20_000 == pytest.approx(share, abs=0.01)
    assert set(split_by_group(map(str, range(200)), (0.0, 0.0, 1.0))) == {"test"}


def test_split_of_known_names_never_changes():
    """Stored splits, reference figures and shipped weights rest on these."""
    # The first digits of `printf CDM_23597 | sha256sum`, and so on.
    first_digits = {"CDM_23597": 0x2065, "c": 0x2E7D, "virginia_tech/0": 0xD4FC, "a": 0xCA97, "CDS_28754": 0xE2C1}
    assert [digits / 0x10000 < 0.7 for digits in first_digits.values()] == [True, True, False, False, False]
    assert split_by_group(first_digits) == ["train", "train", "validation", "validation", "test"]
    assert split_by_group([7]) == split_by_group(["7"])


def test_where_findings_overlap_the_more_severe_one_wins():
    strips = np.full((4, 5), 0, np.uint8)
    findings = []
    for row, name in enumerate(("lom", "rus", "pit", "cor")):  # in no order; each covers its row and the first column
        mask = strips.copy()
        mask[row], mask[:, 0] = 255, 255
        findings.append((mask, name))
    merged = merge_findings(findings)
    assert (merged[:, 0] == CLASS_NAMES.index("lom")).all()
    assert merged[:, 1].tolist() == [CLASS_NAMES.index(name) for name in ("lom", "rus", "pit", "cor")]
    assert np.array_equal(merged, merge_findings(findings[::-1]))
    pair = {name: mask for mask, name in findings}
    overlap = np.minimum(pair["rus"], pair["cor"]) > 0
    assert (merge_findings([(pair["cor"], "cor"), (pair["rus"], "rus")])[overlap] == CLASS_NAMES.index("cor")).all()


def test_half_bright_mask_pixels_go_to_the_nearer_side():
    assert merge_findings([(np.array([[0, 127, 128, 255]], np.uint8), "cor")]).tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize(("mask", "indices"), [
    ([[0, 1, 4]], [[0, 1, 4]]),
    ([[0, 255, 255]], [[0, 1, 1]]),  # black and white, as most tools export it
    ([[255, 255, 255]], [[1, 1, 1]]),
    ([[0, 0, 0]], [[0, 0, 0]]),
])
def test_index_masks(mask, indices):
    assert merge_findings([(np.array(mask, np.uint8), "index")]).tolist() == indices


def test_a_photo_without_finding_has_an_empty_mask(shared_data_2020):
    row = read_2020(shared_data_2020).iloc[1]
    photo, mask = load_pair(row)
    assert photo.shape == (HEIGHT, WIDTH, 3)
    assert mask.shape == (HEIGHT, WIDTH) and mask.dtype == np.uint8 and not mask.any()
    assert load_mask(row["photo"], (), (3, 2)).shape == (2, 3)


def test_arrays_hold_photo_and_mask_of_each_row(shared_data_2020):
    manifest = read_2020(shared_data_2020)
    photos, masks = load_arrays(manifest, 96, binary=False)
    assert photos.shape == (8, 96, 96, 3) and masks.shape == (8, 96, 96)
    assert photos.dtype == masks.dtype == np.uint8
    for number in range(len(JOBS)):
        _, damage = tiny_photo(number)
        expected = damage.astype(np.uint8)
        expected[:, : WIDTH // 2] *= CLASS_NAMES.index("pit")  # pit lies in the left half of the finding
        rows = (np.arange(96) + 0.5) * HEIGHT // 96  # nearest neighbour from 64 to 96 rows
        assert np.array_equal(masks[2 * number], expected[rows.astype(int)])
        assert not masks[2 * number + 1].any()
        assert photos[2 * number][masks[2 * number] > 0][:, 0].mean() > 140  # red where the mask is
    binary = load_arrays(manifest, 96)[1]
    assert np.array_equal(binary, masks > 0) and binary.max() == 1


@pytest.mark.skipif(not REAL.exists(), reason="the real photos are not at hand")
def test_the_real_photos():
    manifest = read_data(REAL)
    assert len(manifest) == 1139
    assert manifest["source"].value_counts().to_dict() == {"cis": 600, "virginia_tech": 387, "web": 152}
    assert manifest.groupby("group")["fold"].nunique().max() == 1
    for _, part in manifest.groupby("source"):
        photo, mask = load_pair(part.iloc[0])
        assert photo.shape[:2] == mask.shape
        assert (mask > 0).mean() == pytest.approx(float(part.iloc[0]["corroded"]), abs=1e-4)
