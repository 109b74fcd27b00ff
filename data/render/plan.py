"""The plan of all jobs: asset, coating, light, damage and split, balanced within every twenty jobs."""

from dataclasses import dataclass

import numpy as np

CLASSES = ("cor", "rus", "pit", "lom")
PAINTS = {
    "pale green": "#a9c4ad",
    "sea green": "#7fa894",
    "dark green": "#3f6152",
    "haze grey": "#a3a8a9",
    "dark grey": "#60656a",
    "white": "#dedfd9",
    "cream": "#d2c8a8",
    "buff": "#b09a78",
    "sky blue": "#8fb0c4",
    "navy": "#2f4668",
    "yellow": "#d3aa2c",
    "red oxide": "#7d3a2c",
    "brown": "#6b4a38",
    "signal red": "#a82a22",
    "black": "#2b2b2c",
    "aluminium": "#b4b5b5",
}
PAINT_CHANCE = (20, 10, 7, 15, 6, 10, 5, 6, 6, 3, 3, 4, 3, 2, 1, 5)
ASSET_BLOCK = (
    ("bridge",) * 6
    + ("truss",) * 3
    + ("shell",) * 4
    + ("deck",) * 2
    + ("pipes",) * 2
    + ("vessel",) * 2
    + ("exchanger",)
)
LIGHT_BLOCK = ("sun",) * 4 + ("overcast",) * 5 + ("flash",) * 4 + ("dim flash",) * 4 + ("backlit",) + ("work lamp",) * 2
PLACES = ("foliage", "gravel", "sea", "yard", "overcast")
# Every block of twenty holds every class in every split; shares of classes follow the 2020 counts, rare ones raised.
BLOCK = (
    ("train", ("cor", "rus")),
    ("train", ("cor",)),
    ("test", ("cor", "lom")),
    ("train", ("rus",)),
    ("validation", ("cor", "pit")),
    ("train", ()),
    ("train", ("cor", "lom")),
    ("train", ("rus", "pit")),
    ("test", ("rus", "pit")),
    ("train", ("cor", "rus")),
    ("validation", ("lom", "rus")),
    ("train", ("cor",)),
    ("train", ("pit",)),
    ("train", ("cor", "rus")),
    ("test", ("cor",)),
    ("train", ("lom",)),
    ("validation", ()),
    ("train", ("rus",)),
    ("train", ("cor", "rus", "lom")),
    ("train", ()),
)
LOOKALIKES = ("stain", "primer", "mud", "oil", "wet", "tint", "rope", "wood", "sign")
REDDISH = ("red oxide", "brown", "signal red")


@dataclass(frozen=True)
class Job:
    """Everything decided before the scene of one inspection job is built."""

    index: int
    group: str
    split: str
    kinds: tuple[str, ...]
    asset: str
    light: str
    place: str
    paints: tuple[str, str]
    lookalikes: tuple[str, ...]
    extent: float
    first_photo: int
    views: int


def make_plan(jobs: int, seed: int) -> list[Job]:
    """The first `jobs` jobs of `seed`; a longer plan begins with the shorter one."""
    out: list[Job] = []
    numbers: set[int] = set()
    for block in range(-(-jobs // len(BLOCK))):
        rng = np.random.default_rng((seed, 1, block))
        assets, lights = rng.permutation(ASSET_BLOCK), rng.permutation(LIGHT_BLOCK)
        extents = rng.permutation(np.linspace(0, 1, len(BLOCK)))
        for k, (split, kinds) in enumerate(BLOCK):
            number = int(rng.integers(20000, 30000))
            while number in numbers:
                number = int(rng.integers(20000, 30000))
            numbers.add(number)
            # A job without corrosion is where a model should learn what only looks like it.
            weight = np.where(np.isin(list(PAINTS), REDDISH) & (not kinds), 30, PAINT_CHANCE)
            paints = tuple(str(p) for p in rng.choice(list(PAINTS), 2, p=weight / weight.sum()))
            wanted = tuple(x for x in LOOKALIKES if rng.random() < (0.55 if x == "stain" else 0.16 if kinds else 0.35))
            light = str(lights[k])
            place = "dark" if light in ("flash", "work lamp") else str(rng.choice(PLACES))
            group = f"{rng.choice(['CDM', 'CDS'])}_{number}"
            out.append(
                Job(
                    block * len(BLOCK) + k,
                    group,
                    split,
                    kinds,
                    str(assets[k]),
                    light,
                    place,
                    paints,
                    wanted,
                    float(extents[k]),
                    int(rng.integers(1, 1500)),
                    int(np.clip(rng.normal(6.6, 1.8), 3, 12)),
                )
            )
    return out[:jobs]
