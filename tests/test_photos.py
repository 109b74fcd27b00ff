import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from corroseg_utils import photos
from corroseg_utils.photos import (
    PhotoError,
    photo_size,
    read_mask,
    read_photo,
    resize_mask,
    resize_photo,
    write_jpeg,
    write_png,
)

ORIENTATION = 0x0112
# Where the EXIF standard (CIPA DC-008, 4.6.4 A) puts row r and column c of the stored h x w pixels: row and column
# of the upright photo.
UPRIGHT = {
    1: lambda r, c, h, w: (r, c),
    2: lambda r, c, h, w: (r, w - 1 - c),
    3: lambda r, c, h, w: (h - 1 - r, w - 1 - c),
    4: lambda r, c, h, w: (h - 1 - r, c),
    5: lambda r, c, h, w: (c, r),
    6: lambda r, c, h, w: (c, h - 1 - r),
    7: lambda r, c, h, w: (w - 1 - c, h - 1 - r),
    8: lambda r, c, h, w: (w - 1 - c, r),
}


def stored_pixels(height=4, width=6):
    """Every pixel another grey."""
    grey = np.arange(height * width, dtype=np.uint8).reshape(height, width) * 10
    return np.repeat(grey[..., None], 3, -1)


def turned(pixels, orientation):
    """The stored pixels turned upright, pixel by pixel."""
    h, w = pixels.shape[:2]
    upright = np.zeros((w, h, *pixels.shape[2:]) if orientation >= 5 else pixels.shape, pixels.dtype)
    for r in range(h):
        for c in range(w):
            upright[UPRIGHT[orientation](r, c, h, w)] = pixels[r, c]
    return upright


def save_oriented(path, pixels, orientation):
    image = Image.fromarray(pixels)
    if path.suffix == ".tif":
        image.save(path, tiffinfo={ORIENTATION: orientation})
    else:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        image.save(path, exif=exif, **({"quality": 95} if path.suffix == ".jpg" else {}))
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif"])  # lossless, and read by Pillow in two ways
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_photo_and_mask_are_turned_upright_together(tmp_path, orientation, suffix):
    pixels = stored_pixels()
    photo = save_oriented(tmp_path / f"photo{suffix}", pixels, orientation)
    write_png(tmp_path / "mask.png", pixels[..., 0])
    upright = turned(pixels, orientation)
    assert np.array_equal(read_photo(photo), upright)
    assert photo_size(photo) == upright.shape[1::-1]
    assert np.array_equal(read_mask(tmp_path / "mask.png", photo), upright[..., 0])


def png_chunks(path):
    """(type, whole chunk) of each chunk of a PNG."""
    data, position, chunks = path.read_bytes(), 8, []
    while position < len(data):
        end = position + int.from_bytes(data[position : position + 4], "big") + 12
        chunks.append((data[position + 4 : position + 8], data[position:end]))
        position = end
    return chunks


def test_a_png_is_decoded_for_its_size_only_if_something_follows_its_pixels(tmp_path, monkeypatch):
    path = save_oriented(tmp_path / "photo.png", stored_pixels(), 6)
    width, height = photo_size(path)
    chunks = sorted(png_chunks(path), key=lambda chunk: {b"eXIf": 1, b"IEND": 2}.get(chunk[0], 0))
    late = tmp_path / "late.png"
    late.write_bytes(path.read_bytes()[:8] + b"".join(chunk for _, chunk in chunks))
    assert photo_size(late) == (width, height) and np.array_equal(read_photo(late), read_photo(path))
    plain = tmp_path / "plain.png"
    Image.fromarray(stored_pixels()).save(plain)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda image: pytest.fail("it was decoded"))
    assert photo_size(path) == (width, height) and photo_size(plain) == (height, width)
    with pytest.raises(pytest.fail.Exception):
        photo_size(late)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_reduced_jpeg_is_turned_too(tmp_path, orientation):
    pixels = np.full((128, 256, 3), 20, np.uint8)
    pixels[:64, :64] = 230
    photo = save_oriented(tmp_path / "photo.jpg", pixels, orientation)
    small, upright = read_photo(photo, 64), turned(pixels, orientation)
    assert small.shape[:2] == tuple(side // 4 for side in upright.shape[:2])  # decoded at a quarter, not below 64
    assert np.array_equal(small[..., 0] > 128, upright[::4, ::4, 0] > 128)
    assert photo_size(photo) == upright.shape[1::-1]


def test_a_reduced_photo_is_never_below_what_was_asked(tmp_path):
    write_jpeg(tmp_path / "photo.jpg", np.zeros((60, 100, 3), np.uint8))
    for at_least in (1, 26, 49, 51, 99, 100, 500):
        assert max(read_photo(tmp_path / "photo.jpg", at_least).shape) >= min(at_least, 100)


@pytest.mark.parametrize(("at_least", "expected"), [(51, (29, 51)), (52, (57, 101)), (26, (15, 26)), (13, (8, 13))])
def test_a_photo_with_odd_sides_is_reduced_too(tmp_path, at_least, expected):
    write_jpeg(tmp_path / "photo.jpg", np.zeros((57, 101, 3), np.uint8))
    assert read_photo(tmp_path / "photo.jpg", at_least).shape[:2] == expected


def test_a_mask_drawn_on_the_upright_photo_stays(tmp_path):
    photo = save_oriented(tmp_path / "photo.png", stored_pixels(), 6)
    upright = turned(stored_pixels(), 6)[..., 0]
    write_png(tmp_path / "mask.png", upright)
    assert np.array_equal(read_mask(tmp_path / "mask.png", photo), upright)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path, orientation):
    photo = save_oriented(tmp_path / "photo.png", stored_pixels(), orientation)
    assert np.array_equal(read_photo(photo), stored_pixels())
    assert photo_size(photo) == (6, 4)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_spoil_the_photo(tmp_path):
    Image.fromarray(stored_pixels()).save(tmp_path / "photo.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert np.array_equal(read_photo(tmp_path / "photo.png"), stored_pixels())


def test_grey_and_palette_photos(tmp_path):
    grey = np.array([[0, 100], [200, 255]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_photo(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, -1))
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "palette.png")
    assert read_photo(tmp_path / "palette.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bits.png")
    assert read_photo(tmp_path / "bits.png").tolist() == [[[255] * 3, [0] * 3]]


def test_transparent_photos_are_laid_on_white(tmp_path):
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    assert read_photo(tmp_path / "rgba.png").tolist() == [[[10, 20, 30], [255, 255, 255]]]
    Image.fromarray(np.array([[[80, 255], [80, 0]]], np.uint8)).save(tmp_path / "la.png")
    assert read_photo(tmp_path / "la.png").tolist() == [[[80] * 3, [255] * 3]]


def test_cmyk_photo(tmp_path):
    image = Image.new("CMYK", (32, 16), (255, 0, 0, 0))  # cyan
    image.paste((0, 0, 0, 255), (16, 0, 32, 16))  # black
    image.save(tmp_path / "cmyk.jpg")
    photo = read_photo(tmp_path / "cmyk.jpg").astype(int)
    assert np.abs(photo[:, :12] - (0, 255, 255)).max() < 12
    assert photo[:, 20:].max() < 12


def test_16_bit_photo(tmp_path):
    for suffix in (".png", ".tif"):
        Image.fromarray(np.array([[0, 257, 32896, 65535]], np.uint16)).save(tmp_path / f"deep{suffix}")
        assert read_photo(tmp_path / f"deep{suffix}")[0, :, 0].tolist() == [0, 1, 128, 255]


def test_a_deep_file_that_holds_8_bits_is_not_darkened(tmp_path):
    Image.fromarray(np.array([[0, 100, 255]], np.uint16)).save(tmp_path / "deep.png")
    assert read_photo(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 100, 255]


def test_masks_keep_their_raw_values(tmp_path):
    indices = np.array([[0, 1, 2], [3, 4, 0]], np.uint8)
    write_png(tmp_path / "grey.png", indices)
    palette = Image.fromarray(indices).convert("P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    palette.save(tmp_path / "palette.png")
    for name in ("grey.png", "palette.png"):
        assert np.array_equal(read_mask(tmp_path / name), indices)
    white = np.array([[0, 255]], np.uint8)
    Image.fromarray(white > 0).save(tmp_path / "bits.png")
    write_png(tmp_path / "rgb.png", np.repeat(white[..., None], 3, -1))
    for name in ("bits.png", "rgb.png"):
        assert np.array_equal(read_mask(tmp_path / name), white)


def test_a_transparent_mask_pixel_is_unmarked_whatever_colour_it_hides(tmp_path):
    Image.fromarray(np.array([[[255, 255, 255, 0], [255, 255, 255, 255]]], np.uint8)).save(tmp_path / "rgba.png")
    assert read_mask(tmp_path / "rgba.png").tolist() == [[0, 255]]


def test_coloured_and_16_bit_masks_are_refused(tmp_path):
    write_png(tmp_path / "mask.png", np.array([[[255, 0, 0]]], np.uint8))
    with pytest.raises(PhotoError, match="mask.png: the mask has colours.*8-bit grey PNG"):
        read_mask(tmp_path / "mask.png")
    Image.fromarray(np.array([[0, 65535]], np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(PhotoError, match="deep.png: the mask is not 8-bit grey"):
        read_mask(tmp_path / "deep.png")


def broken_files(folder):
    """(file, words of its error): every way in which a photo can be unusable."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for suffix, write in ((".jpg", write_jpeg), (".png", write_png)):
        write(folder / f"whole{suffix}", noise)
        data = (folder / f"whole{suffix}").read_bytes()
        (folder / f"cut{suffix}").write_bytes(data[: len(data) // 2])
        yield folder / f"cut{suffix}", "damaged"
    (folder / "empty.jpg").touch()
    yield folder / "empty.jpg", r"empty \(0 bytes\)"
    (folder / "text.jpg").write_text("This is no photo at all.")
    yield folder / "text.jpg", "known format"
    (folder / "telephone.HEIC").write_bytes(data)
    yield folder / "telephone.HEIC", "format .heic cannot be read"
    (folder / "folder.jpg").mkdir()
    yield folder / "folder.jpg", "cannot be opened"
    yield folder / "missing.jpg", "does not exist"


@pytest.mark.parametrize("read", [read_photo, read_mask])
def test_an_unusable_file_is_named_with_reason_and_cure(tmp_path, read):
    for path, words in broken_files(tmp_path):
        with pytest.raises(PhotoError, match=words) as caught:
            read(path)
        assert caught.value.path == path
        assert str(caught.value).startswith(f"{path}: ") and caught.value.cure in str(caught.value)


def test_the_error_of_a_mask_names_the_photo_when_that_is_broken(tmp_path):
    write_png(tmp_path / "mask.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(PhotoError, match="gone.jpg: the file does not exist"):
        read_mask(tmp_path / "mask.png", tmp_path / "gone.jpg")


def test_a_bomb_is_refused_and_a_large_photo_is_not(tmp_path, monkeypatch):
    write_png(tmp_path / "photo.png", np.zeros((10, 15, 3), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # 150 pixels: Pillow warns, and refuses from 200 on
    assert read_photo(tmp_path / "photo.png").shape == (10, 15, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 70)
    with pytest.raises(PhotoError, match="megapixels"):
        read_photo(tmp_path / "photo.png")


def test_a_programming_error_is_not_blamed_on_the_photo(tmp_path, monkeypatch):
    write_png(tmp_path / "photo.png", np.zeros((4, 4, 3), np.uint8))
    monkeypatch.setattr(photos, "_to_rgb", lambda image: image.no_such_method())
    with pytest.raises(AttributeError):
        read_photo(tmp_path / "photo.png")


def test_resizing_keeps_indices_and_averages_photos():
    mask = np.array([[0, 4], [2, 0]], np.uint8)
    assert np.array_equal(resize_mask(mask, (4, 4)), mask.repeat(2, 0).repeat(2, 1))
    assert resize_mask(mask, (3, 5)).shape == (5, 3)
    checker = np.zeros((64, 64, 3), np.uint8)
    checker[::2, ::2] = checker[1::2, 1::2] = 255
    assert np.abs(resize_photo(checker, (8, 8)).astype(int) - 128).max() <= 2  # not picked, averaged
    assert resize_photo(checker, (64, 64)) is checker


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "new" / "mask.png"
    write_png(path, np.zeros((2, 2), np.uint8))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        photos.write_whole(path, interrupted)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_results_are_for_everyone(tmp_path):
    """The temporary file that becomes the result is made for its owner alone."""
    write_png(tmp_path / "mask.png", np.zeros((2, 2), np.uint8))
    assert (tmp_path / "mask.png").stat().st_mode & 0o777 == 0o644


def interrupted(file):
    file.write(b"half")
    raise KeyboardInterrupt


def test_reading_photos_needs_only_pillow_and_numpy():
    """A small computer without TensorFlow, Keras, pandas and OpenCV runs these modules."""
    code = ("import sys, corroseg_utils.photos, corroseg_utils.segmenter\n"
            "print(sorted({'tensorflow', 'keras', 'pandas', 'cv2', 'matplotlib'} & set(sys.modules)))")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         cwd=photos.__file__.rsplit("/", 2)[0])
    assert run.stdout.strip() == "[]"
