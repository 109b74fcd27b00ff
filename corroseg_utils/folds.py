"""Hold out a part of a data set: a fold, or all photos of one source.

Photos of one scene (see `scenes`) become one group first, so that a scene is never on both sides.
"""

import numpy as np
import pandas as pd

from corroseg_utils.dataset import DataError, split_by_group
from corroseg_utils.scenes import SAME_SCENE


def hold_out_fold(manifest: pd.DataFrame, fold: int) -> pd.DataFrame:
    """Split by a manifest's `fold` column: that fold is the test set, a tenth of the other groups validation.

    A scene that the manifest lists in several folds goes to the fold of its first photo.

    Raises:
        DataError: the manifest has no such fold.
    """
    _check(manifest, "fold", fold)
    manifest = _join_scenes(manifest)
    manifest["fold"] = manifest.groupby("group")["fold"].transform("first")
    return _hold_out(manifest, manifest["fold"] == fold)


def hold_out_source(manifest: pd.DataFrame, source: str) -> pd.DataFrame:
    """Split by a manifest's `source` column: that source is the test set, a tenth of the other groups validation.

    Photos of other sources that show a scene of this one are left out: the rows returned may be fewer.

    Raises:
        DataError: the manifest has no such source.
    """
    _check(manifest, "source", source)
    manifest = _join_scenes(manifest)
    held_out = manifest["source"] == source
    kept = held_out | ~manifest["group"].isin(manifest["group"][held_out])
    return _hold_out(manifest[kept], held_out[kept])


def only_source(manifest: pd.DataFrame, source: str) -> pd.DataFrame:
    """The photos of one source of a manifest.

    Raises:
        DataError: the manifest has no such source.
    """
    _check(manifest, "source", source)
    return manifest[manifest["source"] == source]


def _check(manifest: pd.DataFrame, column: str, value: int | str) -> None:
    if column not in manifest:
        raise DataError(f"There is no column {column!r} in this data set. Give a manifest CSV with one.")
    found = manifest[column].dropna().convert_dtypes().unique().tolist()  # an empty cell makes 1 a 1.0
    if value not in found:
        raise DataError(f"There is no {column} {value!r} in this data set. "
                        f"There are {', '.join(map(str, sorted(found)))}.")


def _join_scenes(manifest: pd.DataFrame) -> pd.DataFrame:
    return manifest.assign(group=[SAME_SCENE.get(group, group) for group in manifest["group"]])


def _hold_out(manifest: pd.DataFrame, held_out: pd.Series) -> pd.DataFrame:
    others = split_by_group(manifest["group"], (0.9, 0.1, 0.0))
    return manifest.assign(split=np.where(held_out, "test", others))
