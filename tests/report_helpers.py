"""Small photos with known corrosion, and a stand-in for the model that finds it by colour."""

import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from corroseg_utils.report import Settings, make_report

STEEL, RUST = (120, 130, 140), (150, 70, 30)
CREATED = "2026-01-02T03:04:05+00:00"


class ColourSegmenter:
    """Corrosion is what is redder than blue; probability 0.9 at RUST and 0 at STEEL."""

    classes, threshold, size, about = ("background", "corrosion"), 0.5, 64, {"network": "colour"}

    def __init__(self, seconds: float = 0.0):
        self.seconds = seconds

    def probability(self, photo):
        time.sleep(self.seconds)
        pixels = photo.astype(np.float32)
        return np.clip((pixels[..., 0] - pixels[..., 2]) * 0.9 / 120, 0, 1)

    def logits(self, photos):
        corrosion = np.stack([self.probability(photo) for photo in photos]).clip(1e-6, 1 - 1e-6)
        return np.log(np.stack([1 - corrosion, corrosion], -1))


def photo_with(*boxes, size=(80, 60)):
    """Photo of steel, uint8 (H, W, 3), with rust in each box (left, top, right, bottom)."""
    photo = np.empty((size[1], size[0], 3), np.uint8)
    photo[:] = STEEL
    for left, top, right, bottom in boxes:
        photo[top:bottom, left:right] = RUST
    return photo


def save(path, photo, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo).save(path, **options)
    return path


def sample_photos(folder):
    """Five good photos of three assets: 25 %, 2 %, 0 % (job CDM_1); 50 % (job CDS_2); 100 % (folder tank)."""
    save(folder / "CDM_1_IMG_0.png", photo_with((0, 0, 40, 30)))
    save(folder / "a" / "CDM_1_IMG_1.png", photo_with((0, 0, 8, 6), (20, 20, 28, 26)))
    save(folder / "CDM_1_IMG_2.png", photo_with())
    save(folder / "CDS_2_IMG_0.png", photo_with((0, 0, 40, 60)))
    save(folder / "tank" / "left.png", photo_with((0, 0, 80, 60)))
    return folder


def report_on(photos, out, **options):
    """`make_report` with the stand-in, one fixed date and no progress bar."""
    return make_report(photos, out, ColourSegmenter(), **{"created": CREATED, "quiet": True, **options})


def files_in(folder):
    """Name and bytes of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


if __name__ == "__main__":  # a run that a test can kill: photos, out, seconds a photo
    make_report(Path(sys.argv[1]), Path(sys.argv[2]), ColourSegmenter(float(sys.argv[3])),
                settings=Settings(), created=CREATED, quiet=True)
