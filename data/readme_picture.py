"""Draw the picture of the README: `python data/readme_picture.py` writes data/readme.jpg."""

import matplotlib.pyplot as plt
import numpy as np

from corroseg_utils import DATA
from corroseg_utils.dataset import load_pair, read_2020
from corroseg_utils.figures import show_predictions
from corroseg_utils.photos import resize_mask, resize_photo
from corroseg_utils.segmenter import load_segmenter

# Of the test jobs: two that the model gets mostly right, and one with a flange that it fills and thin rust it misses.
PHOTOS = ("CDS_23374_IMG_0279", "CDS_27772_IMG_0533", "CDM_28801_IMG_0554")
WIDTH, HEIGHT = 400, 300  # pixels of each picture

manifest = read_2020(DATA)
segmenter = load_segmenter()
triplets = []
for stem in PHOTOS:
    photo, mask = load_pair(manifest[[path.stem == stem for path in manifest["photo"]]].iloc[0])
    prediction = segmenter.mask(photo)
    size = (WIDTH, HEIGHT)
    triplets.append((resize_photo(photo, size), resize_mask((mask > 0).astype(np.uint8), size),
                     resize_mask(prediction.astype(np.uint8), size)))
figure = show_predictions(*map(np.array, zip(*triplets, strict=True)))
figure.set_size_inches(10, 2.05 * len(triplets) + 0.4)
plt.savefig(DATA / "readme.jpg", dpi=100, pil_kwargs={"quality": 85})
