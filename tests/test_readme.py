"""README and model card promise only what is there, and quote only figures that are stored with their command."""

import json
import re
from pathlib import Path

import lessons
import pytest

REPO = Path(__file__).resolve().parent.parent
README = (REPO / "README.md").read_text(encoding="utf-8")
CARD = (REPO / "data" / "weights" / "README.md").read_text(encoding="utf-8")
DATA_SHEET = (REPO / "data" / "README.md").read_text(encoding="utf-8")
REFERENCE = json.loads((REPO / "data" / "reference.json").read_text(encoding="utf-8"))


def results() -> list[tuple[str, ...]]:
    """Value, interval if there is one, and name of each figure in the tables of results, whose last column names the
    entry in reference.json."""
    figure = r"([\d.]+)(?: \(([\d.]+) to ([\d.]+)\))?[^|]*"
    return re.findall(rf"^\|.*\| {figure}\| `([a-z0-9_]+)` \|$", README + CARD + DATA_SHEET, re.MULTILINE)


def test_results_are_found():
    assert len(results()) >= 40


@pytest.mark.parametrize(("shown", "low", "high", "name"), results())
def test_each_result_is_the_stored_one(shown, low, high, name):
    decimals = len(shown.partition(".")[2])
    assert shown == f"{REFERENCE[name]['value']:.{decimals}f}"
    lesson07 = [REFERENCE[f"lesson07_interval_{end}"]["value"] for end in ("low", "high")]  # checked there one by one
    stored = lesson07 if name == "lesson07_iou" else REFERENCE[name].get("interval", [])
    assert [float(end) for end in (low, high) if end] == [round(end, 3) for end in stored]


def test_every_reference_has_value_tolerance_and_command():
    for name, entry in REFERENCE.items():
        assert entry.keys() >= {"value", "tolerance", "command"}, name
        assert entry["tolerance"] >= 0 and entry["command"], name


@pytest.mark.parametrize("lesson", [path.name for path in lessons.find_lessons()])
def test_each_lesson_is_in_the_table_with_its_badge(lesson):
    row = next(line for line in README.splitlines() if line.startswith("|") and f"notebooks/{lesson})" in line)
    assert lessons.badge(lesson, lessons.read_slug()) in row


def anchors(page: Path) -> set[str]:
    """What a link can name after #: the headings of a page, as GitHub turns them into anchors."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [REPO / "README.md", *sorted((REPO / "data").rglob("*.md"))],
                         ids=lambda page: str(page.relative_to(REPO)))
def test_links_to_files_and_headings_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    for name, _, anchor in (target.partition("#") for target in targets if not target.startswith("http")):
        file = page.parent / name if name else page
        assert file.exists(), name
        assert not anchor or anchor in anchors(file), anchor
