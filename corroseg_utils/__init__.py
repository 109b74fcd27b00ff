"""corroseg: find corrosion in photos. Lessons import their helpers from the modules of this package."""

from pathlib import Path

__version__ = "0.3.0"

# The embedded data set and the shipped weights live beside the package, in the repository's data folder.
DATA = Path(__file__).resolve().parent.parent / "data"
