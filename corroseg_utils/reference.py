"""Figures that lessons and README quote, each stored with its tolerance and the command that makes it.

`data/reference.json` maps a name to `{"value": ..., "tolerance": ..., "command": ...}`, with an "interval" or "range"
where there is one, and a "commit" where the figure is of an earlier network, which that commit brings back. Training
gives slightly other numbers on every machine, so a lesson compares its own with the stored one and prints a verdict,
not the number.
"""

import json

from corroseg_utils import DATA

PATH = DATA / "reference.json"


def reference(name: str) -> float:
    """The stored value of a figure.

    Raises:
        KeyError: there is none of that name.
    """
    return _entry(name)["value"]


def check(name: str, value: float) -> str:
    """Compare a figure with the stored one: a line that is the same on every machine when all is well.

    Args:
        name: a figure of data/reference.json.
        value: the figure as just measured.

    Returns:
        "name: as stored (0.62 +- 0.05)", or "name: 0.40 IS NOT as stored (0.62 +- 0.05)".
    """
    entry = _entry(name)
    stored = f"as stored ({_text(entry['value'])} +- {_text(entry['tolerance'])})"
    if abs(value - entry["value"]) <= entry["tolerance"]:
        return f"{name}: {stored}"
    return f"{name}: {value:.4g} IS NOT {stored}"


def without_nan(scores: dict) -> dict:
    """Scores as JSON can hold them: it knows no NaN, so one that is undefined becomes None."""
    return json.loads(json.dumps(scores), parse_constant=lambda name: None)


def _text(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _entry(name: str) -> dict:
    entries = json.loads(PATH.read_text(encoding="utf-8"))
    if name not in entries:
        raise KeyError(f"{PATH} has no figure named {name!r}")
    return entries[name]
