"""Draw the contact sheet of a rendered set: `contact_sheet.py data` writes data/contact_sheet.jpg."""

import argparse
from pathlib import Path

from PIL import Image, ImageOps

COLUMNS, ROWS, SIDE = 10, 8, 160


def main(root: Path) -> None:
    photos = sorted((root / "photos").iterdir())
    sheet = Image.new("RGB", (COLUMNS * SIDE, ROWS * SIDE))
    for i in range(COLUMNS * ROWS):
        # Evenly through the whole set, so that every part of it is seen and none is chosen.
        photo = Image.open(photos[i * (len(photos) - 1) // (COLUMNS * ROWS - 1)])
        cell = ImageOps.fit(photo, (SIDE - 2, SIDE - 2))
        sheet.paste(cell, (i % COLUMNS * SIDE, i // COLUMNS * SIDE))
    sheet.save(root / "contact_sheet.jpg", quality=85)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir", type=Path)
    main(parser.parse_args().dir)
