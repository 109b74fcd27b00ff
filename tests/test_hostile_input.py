"""Files made to break things, from a fixed seed: nothing may crash, hang, run, or be written outside the report."""

import csv
import io
import json
import os
import random
import struct
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from report_helpers import files_in, photo_with, report_on, sample_photos, save

from corroseg_utils.errors import CorrosegError
from corroseg_utils.photo_reader import PhotoReader
from corroseg_utils.photos import PhotoError

NAMES = ("'\"`.png", "<script>alert(1)<.png", "new\nline.png", "tab\t\r.png", "ö 漢字 \u202e.png", "..png",
         "...jpg.png", "-rf.png", "=cmd()+1.png", "+1.png", "@x.png", "%2e%2e%2f.png", "{{7*7}}.png", "$(touch x).png",
         "a" * 250 + ".png", "con.png", " .png", "&lt;.png", "<!--.png", "\x1b[31m.png")


def encoded(kind, mode="RGB", **options):
    rng = np.random.default_rng(5)
    photo = Image.fromarray(photo_with((10, 10, 60, 50), size=(96, 72)) + rng.integers(0, 20, (72, 96, 3), np.uint8))
    buffer = io.BytesIO()
    photo.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def seeds():
    """Whole files to be mutated: several formats and modes, with EXIF blocks."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    exif.get_ifd(0x8769)[0x9003] = "2020:10:05 12:00:00"
    yield "jpg", encoded("JPEG", exif=exif)
    yield "jpg", encoded("JPEG", "L", progressive=True)
    yield "jpg", encoded("JPEG", "CMYK")
    yield "png", encoded("PNG", "RGBA", exif=exif)
    yield "png", encoded("PNG", "P")
    yield "png", encoded("PNG", "1")
    yield "png", encoded("PNG", "LA")
    yield "tif", encoded("TIFF", "I")
    yield "tif", encoded("TIFF", compression="tiff_lzw")
    yield "tiff", encoded("TIFF", "F")
    yield "bmp", encoded("BMP")
    yield "webp", encoded("WEBP")


def png(width, height, bits=8, colour=0, rows=b""):
    """A PNG that claims a size; `rows` is what its data really holds."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def bombs():
    """Small files that claim or unpack to a lot."""
    yield "claims_2500_megapixels.png", png(50_000, 50_000)
    yield "claims_most.png", png(2**31 - 1, 2**31 - 1)
    yield "unpacks_to_144_megapixels.png", png(12_000, 12_000, 1, 0, bytes(1501 * 12_000))
    yield "thin.png", png(100_000, 1, 8, 0, bytes(100_001))
    yield "tall.png", png(1, 100_000, 8, 0, bytes(200_000))
    yield "nothing.png", png(0, 0)
    yield "text_bomb.png", encoded("PNG")[:33] + _text_bomb() + encoded("PNG")[33:]
    yield "huge_claim.jpg", _jpeg_with_size(65_500, 65_500)
    yield "huge_claim.bmp", b"BM" + struct.pack("<IHHIIiiHH24x", 99, 0, 0, 54, 40, 2**30, 2**30, 1, 24)


def _text_bomb():
    data = b"key\0\0" + zlib.compress(bytes(80_000_000))
    return struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))


def _jpeg_with_size(width, height):
    data = bytearray(encoded("JPEG"))
    start = data.index(b"\xff\xc0") + 5
    data[start:start + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def mutated(data, chance):
    """Cut it, flip bits, put noise in, double a piece, end it in zeros, change its header, or leave next to nothing."""
    data, kind = bytearray(data), chance.randrange(7)
    place = chance.randrange(len(data))
    if kind == 0:
        del data[place:]
    elif kind == 1:
        for _ in range(chance.randrange(1, 20)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == 2:
        data[place:place + 40] = chance.randbytes(40)
    elif kind == 3:
        data[place:place] = data[place:place + chance.randrange(1, 400)]
    elif kind == 4:
        data[place:] = bytes(len(data) - place)
    elif kind == 5:
        data[chance.randrange(min(200, len(data)))] = chance.randrange(256)
    else:
        data = data[:chance.randrange(3)]
    return bytes(data)


def peak_megabytes(who):
    resource = pytest.importorskip("resource", reason="memory is measured with POSIX calls")
    return resource.getrusage(getattr(resource, who)).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


@pytest.mark.slow
def test_500_mutated_photos(tmp_path):
    chance, photos = random.Random(20), tmp_path / "photos"
    photos.mkdir()
    whole = list(seeds())
    for number in range(500 - len(list(bombs()))):
        suffix, data = whole[number % len(whole)]
        if chance.random() < 0.1:
            suffix = chance.choice(["jpg", "png", "tif", "bmp", "webp"])
        (photos / f"CDM_{number % 7}_{number:03}.{suffix}").write_bytes(mutated(data, chance))
    for name, data in bombs():
        (photos / name).write_bytes(data)
    before, memory, start = files_in(photos), peak_megabytes("RUSAGE_SELF"), time.monotonic()
    report = report_on(photos, tmp_path / "out", seconds=120)  # the machine may be starved; none needs 3 s of work
    seconds = time.monotonic() - start
    content = json.loads((tmp_path / "out" / "findings.json").read_text("utf-8"))
    assert len(content["photos"]) + len(content["failed"]) == 500
    assert all(failure["reason"] for failure in content["failed"])
    assert len(report.failed) > 150 and len(content["photos"]) > 50  # the mutations are neither harmless nor all fatal
    assert files_in(photos) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]
    grown = peak_megabytes("RUSAGE_SELF") - memory
    print(f"{seconds:.0f} s, {len(report.failed)} failed, memory grew by {grown:.0f} MB, "
          f"reader at most {peak_megabytes('RUSAGE_CHILDREN'):.0f} MB")
    assert grown < 1500 and peak_megabytes("RUSAGE_CHILDREN") < 3000
    again = report_on(photos, tmp_path / "out", seconds=120)
    assert again.failed == report.failed


def test_hostile_names(tmp_path):
    photos, made = tmp_path / "photos", []
    for name in NAMES:
        try:
            save(photos / name, photo_with((0, 0, 10, 10)))
            made.append(name)
        except (OSError, ValueError):
            pass  # this file system does not know such a name
    try:
        raw = os.path.join(os.fsencode(photos), b"not \xff utf-8.png")
        with open(raw, "wb") as file:
            file.write(encoded("PNG"))
        made.append(raw)
    except OSError:
        pass
    assert len(made) > 10
    out = tmp_path / "out"
    report = report_on(photos, out)
    assert report.failed == {}
    content = json.loads((out / "findings.json").read_text("utf-8"))
    for key in ("photo", "id"):
        assert len({photo[key] for photo in content["photos"]}) == len(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]
    for path in (out / "photos").iterdir():
        assert all(c.isascii() and (c.isalnum() or c in "-_.") for c in path.name)
    page = (out / "report.html").read_text("utf-8")
    assert "<script>alert" not in page and page.count("<script>") == 1
    with open(out / "findings.csv", newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    assert not any("\x1b" in cell or "\n" in cell for cell in cells)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and links of POSIX")
def test_pipes_links_and_folders_that_look_like_photos(tmp_path):
    photos = sample_photos(tmp_path / "photos")
    os.mkfifo(photos / "pipe.jpg")
    (photos / "folder.jpg").mkdir()
    (photos / "loop").symlink_to(photos)
    (photos / "nowhere.png").symlink_to(tmp_path / "gone.png")
    (photos / "zero.png").symlink_to("/dev/zero")
    report = report_on(photos, tmp_path / "out")
    assert len(report.entries) == 6 and list(report.failed) == ["nowhere.png"]


def test_a_photo_that_takes_too_long_is_given_up_and_the_next_one_read(tmp_path):
    photo = save(tmp_path / "a.png", photo_with())
    with PhotoReader() as reader:
        reader.ask(photo)
        reader.answer()
        reader.seconds = 0.0
        save(tmp_path / "large.png", np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), np.uint8))
        reader.ask(tmp_path / "large.png")
        with pytest.raises(PhotoError, match="longer than 0 s"):
            reader.answer()
        reader.seconds = 60.0
        reader.ask(photo)
        assert reader.answer().pixels.shape == (60, 80, 3)


def test_a_reader_that_dies_costs_one_photo(tmp_path):
    photo = save(tmp_path / "a.png", photo_with())
    with PhotoReader() as reader:
        reader.ask(photo)
        reader.answer()
        reader._process.kill()
        reader._process.join()
        reader.ask(photo)
        assert reader.answer().width == 80
        reader.ask(photo)
        reader._process.kill()
        reader._process.join()
        try:
            reader.answer()  # it may have answered before it was killed
        except PhotoError as error:
            assert "stopped the reader" in str(error)
        reader.ask(photo)
        assert reader.answer().width == 80


def test_a_photo_of_8_pixels_is_read_and_one_of_7_is_not(tmp_path):
    with PhotoReader() as reader:
        reader.ask(save(tmp_path / "8.png", photo_with(size=(8, 8))))
        assert reader.answer().pixels.shape == (8, 8, 3)
        reader.ask(save(tmp_path / "7.png", photo_with(size=(8, 7))))
        with pytest.raises(PhotoError, match="it is 8 x 7 pixels"):
            reader.answer()


def test_large_photos_are_worked_on_at_a_bounded_size(tmp_path):
    Image.new("L", (12_000, 9_000)).save(tmp_path / "a.png")
    with PhotoReader() as reader:
        reader.ask(tmp_path / "a.png")
        photo = reader.answer()
    assert (photo.width, photo.height) == (12_000, 9_000)
    assert photo.pixels.shape[0] * photo.pixels.shape[1] <= 25.1e6


@pytest.mark.parametrize("name", ["model.npz", "model.tflite", "model.keras", "model"])
@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04" + bytes(100), b"\x93NUMPY", bytes(5000),
                                     b"\x1c\x00\x00\x00TFL3" + bytes(200)])
def test_models_that_are_no_models(tmp_path, name, content):
    from corroseg_utils.segmenter import load_segmenter

    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorrosegError, match=name):
        load_segmenter(tmp_path / name)
    with pytest.raises(CorrosegError, match="nowhere"):
        load_segmenter(tmp_path / "nowhere.npz")


def test_a_model_with_pickled_code_is_not_run(tmp_path):
    from corroseg_utils.segmenter import load_segmenter

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    np.savez(tmp_path / "model.npz", about=np.array([Trap()], dtype=object))
    with pytest.raises(CorrosegError):
        load_segmenter(tmp_path / "model.npz")
    assert not (tmp_path / "ran").exists()
