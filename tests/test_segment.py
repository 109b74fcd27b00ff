import csv
import errno
import os
import sys

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from corroseg_utils import segment
from corroseg_utils.assets import list_photos
from corroseg_utils.errors import CorrosegError
from corroseg_utils.photo_files import SUMMARY_COLUMNS
from corroseg_utils.photos import photo_size, read_mask, read_photo, write_jpeg, write_png
from corroseg_utils.segment import find_photos, output_names, segment_photos


def red_left(height=40, width=96):
    """A grey photo whose left half is red."""
    photo = np.full((height, width, 3), 128, np.uint8)
    photo[:, : width // 2] = (200, 50, 20)
    return photo


def read_summary(out):
    with open(out / "summary.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_mask_overlay_and_summary(tmp_path, red_segmenter):
    write_png(tmp_path / "a.png", red_left())
    out = tmp_path / "out"
    rows = segment_photos(red_segmenter, [tmp_path / "a.png"], out)
    assert sorted(file.name for file in out.iterdir()) == ["a_mask.png", "a_overlay.jpg", "summary.csv"]
    with Image.open(out / "a_mask.png") as image:
        assert (image.mode, image.size) == ("L", (96, 40))
        mask = np.asarray(image)
    assert np.array_equal(mask, np.where(np.arange(96) < 48, 255, 0) * np.ones((40, 1)))
    with Image.open(out / "a_overlay.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (96, 40))
        tinted = np.asarray(image).astype(int)
    assert np.abs(tinted[:, 60:] - 128).max() < 12 and (tinted[5:35, 8:40, 2] > 90).all()  # blue on the red alone
    (row,) = read_summary(out)
    assert tuple(row) == SUMMARY_COLUMNS == ("photo", "mask", "width", "height", "corroded_percent", "quality",
                                             "seconds", "error")
    assert (row["photo"], row["mask"]) == (str(tmp_path / "a.png"), "a_mask.png")
    assert (row["width"], row["height"]) == ("96", "40")
    assert float(row["corroded_percent"]) == 50 and float(row["seconds"]) >= 0
    assert (row["quality"], row["error"]) == ("clear", "")
    assert rows[0]["corroded_percent"] == 50


def test_results_are_upright(tmp_path, red_segmenter):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: what is stored on the left is seen on top
    Image.fromarray(red_left()).save(tmp_path / "a.png", exif=exif)
    (row,) = segment_photos(red_segmenter, [tmp_path / "a.png"], tmp_path)
    assert (row["width"], row["height"]) == (40, 96)
    mask = np.asarray(Image.open(tmp_path / "a_mask.png"))
    assert mask.shape == (96, 40) and mask[:48].all() and not mask[48:].any()
    assert Image.open(tmp_path / "a_overlay.jpg").size == (40, 96)


def test_a_broken_photo_does_not_stop_the_others(tmp_path, red_segmenter):
    for name in ("a.png", "c.png"):
        write_png(tmp_path / name, red_left())
    (tmp_path / "b.jpg").write_text("no photo")
    photos = [tmp_path / name for name in ("a.png", "b.jpg", "c.png", "gone.jpg")]
    segment_photos(red_segmenter, photos, tmp_path / "out")
    rows = read_summary(tmp_path / "out")
    assert [bool(row["error"]) for row in rows] == [False, True, False, True]
    assert "known format" in rows[1]["error"] and rows[1]["width"] == "" and rows[1]["corroded_percent"] == ""
    assert "does not exist" in rows[3]["error"]
    assert sorted(file.name for file in (tmp_path / "out").glob("*.png")) == ["a_mask.png", "c_mask.png"]


def test_results_that_cannot_be_written_do_not_stop_the_others(tmp_path, red_segmenter, monkeypatch):
    names = ["a" * 250, "b"]  # with the ending _mask.png the first name is too long for any disk
    for name in names:
        write_png(tmp_path / f"{name}.png", red_left())
    (tmp_path / "out").mkdir()
    rows = segment_photos(red_segmenter, [tmp_path / f"{name}.png" for name in names], tmp_path / "out")
    assert "cannot be written" in rows[0]["error"] and not rows[1]["error"]
    assert (tmp_path / "out" / "b_mask.png").is_file() and len(read_summary(tmp_path / "out")) == 2

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(segment, "write_overlay", full)
    with pytest.raises(OSError, match="No space left"):
        segment_photos(red_segmenter, [tmp_path / "b.png"], tmp_path / "out")


def test_a_photo_wider_than_a_jpeg_can_be(tmp_path, red_segmenter):
    write_png(tmp_path / "wide.png", np.zeros((20, 66000, 3), np.uint8))
    (row,) = segment_photos(red_segmenter, [tmp_path / "wide.png"], tmp_path)
    assert row["error"] == "" and row["width"] == 66000
    assert photo_size(tmp_path / "wide_mask.png") == (66000, 20)
    assert photo_size(tmp_path / "wide_overlay.jpg") == (65500, 20)


def test_the_overlay_of_a_small_photo_has_its_size_at_any_scale(tmp_path, red_segmenter):
    write_png(tmp_path / "a.png", red_left())
    for scale in (None, 1.0, 0.5):
        segment_photos(red_segmenter, [tmp_path / "a.png"], tmp_path / "out", scale)
        assert photo_size(tmp_path / "out" / "a_overlay.jpg") == (96, 40)


def test_a_mask_of_the_user_is_not_overwritten(tmp_path, red_segmenter):
    write_png(tmp_path / "x.png", red_left())
    own = tmp_path / "x_mask.png"
    own.write_bytes(b"drawn by hand")
    with pytest.raises(CorrosegError, match=r"x_mask.png: this mask was drawn or changed by hand"):
        segment_photos(red_segmenter, [tmp_path / "x.png"], tmp_path)
    assert own.read_bytes() == b"drawn by hand"
    table = tmp_path / "summary.csv"
    table.write_text("photo,note\nx.png,bow\n")  # no summary of an earlier run
    with pytest.raises(CorrosegError, match=r"summary.csv: this file is there already"):
        segment_photos(red_segmenter, [tmp_path / "x.png"], tmp_path)
    assert own.read_bytes() == b"drawn by hand" and table.read_text() == "photo,note\nx.png,bow\n"


def test_a_mask_mended_by_hand_is_not_overwritten(tmp_path, red_segmenter):
    for name in "ab":
        write_png(tmp_path / f"{name}.png", red_left())
    photos, out = [tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out"
    for part in (photos, photos[:1], photos):  # untouched results are replaced, those of an earlier run too
        segment_photos(red_segmenter, part, out)
    file = out / "b_mask.png"
    with Image.open(file) as image:
        mended, text = np.array(image), PngInfo()
        text.add_text(*next(iter(image.info.items())))  # an editor may keep the checksum
    mended[3, 90] = 255
    Image.fromarray(mended).save(file, pnginfo=text)
    os.utime(file, (0, 0))  # nor does the time of a file say much: it is lost in copies
    segment_photos(red_segmenter, photos[:1], out)  # does not touch it
    table = (out / "summary.csv").read_text()
    with pytest.raises(CorrosegError, match=r"b_mask.png: this mask was drawn or changed by hand"):
        segment_photos(red_segmenter, photos, out)
    assert np.array_equal(np.asarray(Image.open(file)), mended) and (out / "summary.csv").read_text() == table


@pytest.mark.parametrize("drawn", [b"no picture", None])
def test_a_mask_drawn_by_hand_into_the_results_is_not_overwritten(tmp_path, red_segmenter, drawn):
    for name in "ab":
        write_png(tmp_path / f"{name}.png", red_left())
    segment_photos(red_segmenter, [tmp_path / "a.png"], tmp_path / "out")
    file = tmp_path / "out" / "b_mask.png"
    if drawn is None:
        write_png(file, np.zeros((40, 96), np.uint8))
        drawn = file.read_bytes()
    file.write_bytes(drawn)
    with pytest.raises(CorrosegError, match=r"b_mask.png: this mask was drawn or changed by hand"):
        segment_photos(red_segmenter, [tmp_path / "b.png"], tmp_path / "out")
    assert file.read_bytes() == drawn


def test_a_photo_named_like_an_overlay_is_inspected_and_not_overwritten(tmp_path, red_segmenter):
    write_png(tmp_path / "a.png", red_left())
    segment_photos(red_segmenter, [tmp_path / "a.png"], tmp_path / "out")
    write_png(tmp_path / "deck.png", red_left())
    own = tmp_path / "out" / "deck_overlay.jpg"
    write_jpeg(own, red_left())
    before = own.read_bytes()
    with pytest.raises(CorrosegError, match=r"deck_overlay.jpg: this file is there already"):
        segment_photos(red_segmenter, [tmp_path / "deck.png"], tmp_path / "out")
    assert own.read_bytes() == before
    write_jpeg(tmp_path / "photos" / "deck_overlay.jpg", red_left())
    assert [path.name for path in find_photos([tmp_path / "photos"])] == ["deck_overlay.jpg"]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_mask_of_ours_lies_upright_whatever_its_photo_is_turned_by(tmp_path, red_segmenter, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = red_left(48, 48)  # a square: the mask's size does not tell how it lies
    photo[:10] = 128
    Image.fromarray(photo).save(tmp_path / "a.png", exif=exif)
    segment_photos(red_segmenter, [tmp_path / "a.png"], tmp_path / "out")
    red = read_photo(tmp_path / "a.png")[..., 2] < 60
    assert np.array_equal(read_mask(tmp_path / "out" / "a_mask.png", tmp_path / "a.png") == 255, red)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_summary_that_a_spreadsheet_saved_is_known_again(tmp_path, red_segmenter, separator):
    write_png(tmp_path / "a.png", red_left())
    segment_photos(red_segmenter, [tmp_path / "a.png"], tmp_path)
    summary = tmp_path / "summary.csv"
    summary.write_text("\ufeff" + summary.read_text().replace(",", separator), encoding="utf-8")
    assert [path.name for path in find_photos([tmp_path])] == ["a.png"]


@pytest.mark.parametrize("find", [lambda folder: find_photos([folder]),
                                  lambda folder: list_photos(folder, folder / "out")])
def test_a_folder_that_cannot_be_opened_is_named(tmp_path, monkeypatch, find):
    write_png(tmp_path / "a.png", red_left())
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):  # rights do not bind whoever runs the tests as root
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CorrosegError, match="locked: this folder cannot be opened"):
        find(tmp_path)


def test_a_summary_that_a_spreadsheet_saved_is_a_summary_still(tmp_path, red_segmenter):
    write_png(tmp_path / "a.png", red_left())
    out = tmp_path / "out"
    segment_photos(red_segmenter, [tmp_path / "a.png"], out)
    summary = out / "summary.csv"
    summary.write_bytes(b"\xef\xbb\xbf" + summary.read_bytes().replace(b"\n", b"\r\n"))  # as Excel saves it
    assert find_photos([tmp_path]) == [tmp_path / "a.png"]  # its masks are no photos
    segment_photos(red_segmenter, [tmp_path / "a.png"], out)
    assert len(read_summary(out)) == 1


def test_a_killed_run_can_be_repeated(tmp_path, red_segmenter, monkeypatch):
    write_png(tmp_path / "a.png", red_left())
    with monkeypatch.context() as patched:  # killed before the second table: nothing runs any more
        tables = iter([segment._write_summary])
        patched.setattr(segment, "_write_summary", lambda *args: next(tables, lambda *_: None)(*args))
        segment_photos(red_segmenter, [tmp_path / "a.png"], tmp_path / "out")
    segment_photos(red_segmenter, [tmp_path / "a.png"], tmp_path / "out")
    assert len(read_summary(tmp_path / "out")) == 1


def test_pictures_of_a_report_are_no_photos(tmp_path):
    for name in ("a.jpg", "photos/b.jpg", "report/photos/a_photo.jpg", "report/photos/a_mask.png"):
        write_jpeg(tmp_path / name, red_left())
    (tmp_path / "report" / "findings.json").write_text('{\n "schema": "corroseg-findings/1"}')
    assert [path.name for path in find_photos([tmp_path])] == ["a.jpg", "b.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no file names that are not UTF-8")
def test_a_name_that_is_not_utf8_does_not_cost_the_summary(tmp_path, red_segmenter):
    photo = tmp_path / "b\udce4r.png"
    write_png(tmp_path / "a.png", red_left())
    (tmp_path / "a.png").rename(photo)
    segment_photos(red_segmenter, [photo, tmp_path / "gone\udce4.png"], tmp_path / "out")
    rows = read_summary(tmp_path / "out")
    assert rows[0]["photo"].endswith("b\\xe4r.png") and rows[0]["error"] == "" and "does not exist" in rows[1]["error"]


def test_a_spreadsheet_runs_no_name_of_a_photo(tmp_path, red_segmenter, monkeypatch):
    write_png(tmp_path / "=1+1.png", red_left())
    monkeypatch.chdir(tmp_path)
    segment_photos(red_segmenter, find_photos(["=1+1.png"]), "out")
    (row,) = read_summary(tmp_path / "out")
    assert (row["photo"], row["mask"]) == ("'=1+1.png", "'=1+1_mask.png")
    assert (tmp_path / "out" / "=1+1_mask.png").is_file()


def test_a_stop_by_hand_lists_what_is_done(tmp_path, red_segmenter, monkeypatch):
    write_png(tmp_path / "a.png", red_left())
    logits, seen = red_segmenter.logits, []

    def stopped_at_the_second(photos):
        seen.append(photos)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return logits(photos)

    monkeypatch.setattr(red_segmenter, "logits", stopped_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        segment_photos(red_segmenter, [tmp_path / "a.png"] * 3, tmp_path / "out")
    assert len(read_summary(tmp_path / "out")) == 1
    assert not list((tmp_path / "out").glob(".writing*"))


@pytest.mark.parametrize(("paths", "names"), [
    (["x/a.jpg", "y/a.jpg", "z/a.png"], ["a", "a_2", "a_3"]),
    (["x/a.jpg", "x/A.JPG"], ["a", "A_2"]),  # one file on the disks of Windows and macOS
    (["x/a.jpg", "y/a.jpg", "x/a_2.jpg"], ["a", "a_3", "a_2"]),
    (["x/a_2.jpg", "x/a.jpg", "y/a.jpg", "y/a_2.jpg"], ["a_2", "a", "a_3", "a_2_2"]),
])
def test_two_photos_of_one_stem_do_not_overwrite_each_other(tmp_path, paths, names):
    found = output_names([tmp_path / path for path in paths])
    assert found == names and len({name.lower() for name in found}) == len(paths)


def test_photos_are_found_once_in_order(tmp_path):
    for name in ("b.jpg", "a.JPG", "sub/c.tif", "d.heic", "a.NEF", "b.dng", "notes.txt", "odd.xyz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    names = [photo.name for photo in find_photos([tmp_path, tmp_path / "b.jpg", tmp_path / "sub"])]
    assert names == ["a.JPG", "b.jpg", "d.heic", "dangling.png", "c.tif"]  # not the raw files
    assert [photo.name for photo in find_photos([tmp_path / "odd.xyz"])] == ["odd.xyz"]  # named: it is tried


def test_a_link_to_itself_is_listed_as_failed(tmp_path, red_segmenter):
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (row,) = segment_photos(red_segmenter, find_photos([tmp_path]), tmp_path / "out")
    assert row["error"]


def test_a_folder_of_photos_that_is_named_is_searched_whatever_lies_beside_it(tmp_path):
    write_jpeg(tmp_path / "visit" / "photos" / "a.jpg", red_left())
    (tmp_path / "visit" / ".lock").touch()  # of another program
    for folder in (tmp_path, tmp_path / "visit" / "photos"):
        assert [path.name for path in find_photos([folder])] == ["a.jpg"]


def test_results_in_other_folders_are_no_photos_either(tmp_path, red_segmenter):
    photos = tmp_path / "photos"
    write_jpeg(photos / "a.jpg", red_left())
    segment_photos(red_segmenter, find_photos([photos]), photos / "first")
    own = photos / "own" / "b_mask.png"  # no summary beside it: a photo, for all we know
    write_png(own, red_left())
    assert [photo.name for photo in find_photos([photos])] == ["a.jpg", "b_mask.png"]
    assert [photo.name for photo in list_photos(photos, tmp_path / "report")] == ["a.jpg", "b_mask.png"]


@pytest.mark.parametrize("out", ["results", "photos/results", "photos", "."])
def test_results_of_an_earlier_run_are_no_photos_wherever_they_lie(tmp_path, red_segmenter, out):
    write_jpeg(tmp_path / "photos" / "a.jpg", red_left())
    for _ in range(2):
        photos = find_photos([tmp_path / "photos"])
        assert [photo.name for photo in photos] == ["a.jpg"]
        segment_photos(red_segmenter, photos, tmp_path / out)


def test_nothing_to_do_is_an_error(tmp_path):
    with pytest.raises(CorrosegError, match="gone: there is no such file or folder"):
        find_photos([tmp_path / "gone"])
    with pytest.raises(CorrosegError, match="No photo found in .*Photos end in .bmp"):
        find_photos([tmp_path])
