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
    if "fold" not in manifest or fold not in set(manifest["fold"]):
        raise DataError(f"The manifest has no fold {fold}. Give a manifest CSV with a fold column.")
    manifest = _join_scenes(manifest)
    manifest["fold"] = manifest.groupby("group")["fold"].transform("first")
    return _hold_out(manifest, manifest["fold"] == fold)


def hold_out_source(manifest: pd.DataFrame, source: str) -> pd.DataFrame:
    """Split by a manifest's `source` column: that source is the test set, a tenth of the other groups validation.

    Photos of other sources that show a scene of this one are left out: the rows returned may be fewer.

    Raises:
        DataError: the manifest has no such source.
    """
    if "source" not in manifest or source not in set(manifest["source"]):
        raise DataError(f"The manifest has no source {source!r}. Give a manifest CSV with a source column.")
    manifest = _join_scenes(manifest)
    held_out = manifest["source"] == source
    kept = held_out | ~manifest["group"].isin(manifest["group"][held_out])
    return _hold_out(manifest[kept], held_out[kept])


def _join_scenes(manifest: pd.DataFrame) -> pd.DataFrame:
    return manifest.assign(group=[SAME_SCENE.get(group, group) for group in manifest["group"]])


def _hold_out(manifest: pd.DataFrame, held_out: pd.Series) -> pd.DataFrame:
    others = split_by_group(manifest["group"], (0.9, 0.1, 0.0))
    return manifest.assign(split=np.where(held_out, "test", others))
