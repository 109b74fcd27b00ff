"""Hold out a part of a data set: a fold, or all photos of one source."""

import numpy as np
import pandas as pd

from corroseg_utils.dataset import DataError, split_by_group

# Photos of one scene that the real collection lists as two groups, in two folds: the first joins the second.
SAME_SCENE = {"virginia_tech/120": "virginia_tech/119", "cis/000387_png": "cis/000387_jpg"}


def hold_out_fold(manifest: pd.DataFrame, fold: int) -> pd.DataFrame:
    """Split by a manifest's `fold` column: that fold is the test set, a tenth of the other groups validation.

    Groups of SAME_SCENE are joined first, in the fold of the one that stays.

    Raises:
        DataError: the manifest has no such fold.
    """
    if "fold" not in manifest or fold not in set(manifest["fold"]):
        raise DataError(f"The manifest has no fold {fold}. Give a manifest CSV with a fold column.")
    fold_of = dict(zip(manifest["group"], manifest["fold"], strict=True))
    joined = {one: other for one, other in SAME_SCENE.items() if other in fold_of}
    manifest = manifest.assign(fold=[fold_of[joined.get(group, group)] for group in manifest["group"]],
                               group=manifest["group"].replace(joined))
    return _hold_out(manifest, manifest["fold"] == fold)


def hold_out_source(manifest: pd.DataFrame, source: str) -> pd.DataFrame:
    """Split by a manifest's `source` column: that source is the test set, a tenth of the other groups validation.

    Raises:
        DataError: the manifest has no such source.
    """
    if "source" not in manifest or source not in set(manifest["source"]):
        raise DataError(f"The manifest has no source {source!r}. Give a manifest CSV with a source column.")
    return _hold_out(manifest, manifest["source"] == source)


def _hold_out(manifest: pd.DataFrame, held_out: pd.Series) -> pd.DataFrame:
    others = split_by_group(manifest["group"], (0.9, 0.1, 0.0))
    return manifest.assign(split=np.where(held_out, "test", others))
