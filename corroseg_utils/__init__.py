"""corroseg: find corrosion in photos. Lessons import their helpers from the modules of this package."""

from pathlib import Path

__version__ = "0.4.0"

_HERE = Path(__file__).resolve().parent
# The embedded data set lives beside the package, in the repository's data folder, and so do the shipped models.
DATA = _HERE.parent / "data"
# An installation without the repository has the models alone, within the package (see pyproject.toml).
WEIGHTS = DATA / "weights" if (DATA / "weights").is_dir() else _HERE / "shipped"
