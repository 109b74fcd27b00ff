"""Draw the picture of the README: `python data/readme_picture.py PHOTO...` writes data/readme.jpg."""

import sys

import matplotlib.pyplot as plt
import numpy as np

from corroseg_utils import DATA
from corroseg_utils.dataset import load_pair, read_2020
from corroseg_utils.figures import show_predictions
from corroseg_utils.photos import resize_mask, resize_photo
from corroseg_utils.segmenter import load_segmenter

WIDTH, HEIGHT = 400, 300  # pixels of each picture

manifest = read_2020(DATA)
segmenter = load_segmenter()
triplets = []
for stem in sys.argv[1:]:
    photo, mask = load_pair(manifest[[path.stem == stem for path in manifest["photo"]]].iloc[0])
    prediction = segmenter.mask(photo)
    size = (WIDTH, HEIGHT)
    triplets.append((resize_photo(photo, size), resize_mask((mask > 0).astype(np.uint8), size),
                     resize_mask(prediction.astype(np.uint8), size)))
figure = show_predictions(*map(np.array, zip(*triplets, strict=True)))
figure.set_size_inches(10, 2.05 * len(triplets) + 0.4)
plt.savefig(DATA / "readme.jpg", dpi=100, pil_kwargs={"quality": 85})
