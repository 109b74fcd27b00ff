"""Style of the lessons: what a reader relies on in every one of them. What they compute, nbval compares."""

import json
import re
import shutil

import lessons
import pytest

HEADINGS = ["Check yourself", "Your turn", "What can go wrong", "Recap"]
PROMISES = ["What you'll do", "What you'll learn", "What you'll need"]
PRIVATE = re.compile(rf"/root/|/home/\w|/Users/\w|/content/|{re.escape(str(lessons.REPO))}")
MAX_LINES = 25  # of a code cell
MAX_BYTES = 500_000  # of a lesson: it must open on a slow link, and diff

pytestmark = pytest.mark.skipif(not lessons.find_lessons(), reason="no lesson yet")


@pytest.fixture(params=lessons.find_lessons(), ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return lessons.load(path)


@pytest.fixture
def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def prose(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def has_image(cell) -> bool:
    return any(kind.startswith("image/") for out in cell.outputs for kind in out.get("data", {}))


def has_compared_text(cell) -> bool:
    if lessons.SETUP_TAG in cell.metadata.get("tags", []):
        return False
    printed = [out.get("text", "") for out in cell.outputs if out.get("name") == "stdout"]
    shown = [out.data.get("text/plain", "") for out in cell.outputs if "data" in out and not _is_image(out)]
    return any(text.strip() for text in printed + shown)


def _is_image(out) -> bool:
    return any(kind.startswith("image/") for kind in out.data)


# --- the opening ---


def test_opens_with_title_and_badge(path, prose):
    assert re.match(r"# \w+", prose[0]), "the first cell starts with the title"
    assert lessons.badge(path.name, lessons.read_slug()) in prose[0], "run `make slug`"


def test_says_what_to_expect(notebook):
    setup = next(i for i, cell in enumerate(notebook.cells) if cell.id == lessons.SETUP_ID)
    opening = "\n".join(cell.source for cell in notebook.cells[:setup])
    assert [label for label in PROMISES if f"**{label}**" not in opening] == []


def test_setup_cell_is_the_same_everywhere(code):
    assert code[0].id == lessons.SETUP_ID
    assert code[0].source == lessons.SETUP.format(slug=lessons.read_slug()), "run `make slug`"
    assert code[0].metadata.tags == [lessons.SETUP_TAG]
    assert code[0].outputs == []


def test_has_every_section(prose):
    headings = re.findall(r"^## +(.+)$", "\n".join(prose), flags=re.MULTILINE)
    assert [name for name in HEADINGS if not any(name in heading for heading in headings)] == []


# --- the cells ---


def test_cells_are_short(code):
    assert [cell.id for cell in code if len(cell.source.splitlines()) > MAX_LINES] == []


def test_was_run_from_top_to_bottom(code):
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run `make notebooks`"


def test_every_figure_is_followed_by_compared_text(code):
    pairs = zip(code, [*code[1:], None], strict=True)
    bare = [
        cell.id
        for cell, following in pairs
        if has_image(cell)
        and not has_compared_text(cell)
        and (following is None or not has_compared_text(following))
    ]
    assert bare == [], "nbval does not compare images: print a shape, a count or a share"


# --- what is stored ---


def test_stores_only_what_readers_see(notebook, code):
    assert "widgets" not in notebook.metadata
    for cell in code:
        assert set(cell.metadata) <= {"tags"}, "run `make notebooks`"
        for out in cell.outputs:
            assert out.get("name") != "stderr", f"{cell.id} stores stderr: run `make notebooks`"
            assert not any("widget" in kind for kind in out.get("data", {})), f"{cell.id} stores a widget"


def test_stores_no_path_of_a_machine(path, code):
    outputs = json.dumps([[out for out in cell.outputs if not has_image(cell)] for cell in code])
    found = PRIVATE.search(outputs)
    assert found is None, f"{path.name} prints {outputs[found.start() - 40 : found.end() + 40]}"


def test_ids_are_stable(path):
    raw = json.loads(path.read_text(encoding="utf-8"))  # nbformat would invent missing ones
    assert (raw["nbformat"], raw["nbformat_minor"]) == (4, 5)
    ids = [cell.get("id") for cell in raw["cells"]]
    assert None not in ids and len(set(ids)) == len(ids)


def test_is_small(path):
    assert path.stat().st_size <= MAX_BYTES


# --- the slug: it stands in pyproject.toml, and `make slug` writes it everywhere else ---


def test_badge_leads_to_this_repository(path):
    assert lessons.linked_slugs(path.read_text(encoding="utf-8")) == {lessons.read_slug()}, "run `make slug`"


def test_a_new_slug_reaches_every_file(tmp_path, monkeypatch):
    for path in [*lessons.find_lessons(), *lessons.LINKED]:
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(lessons, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(lessons, "LINKED", [tmp_path / path.name for path in lessons.LINKED])
    lessons.write_slug("someone/fork")
    for path in tmp_path.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "github.com/someone/fork" in text, path.name
        assert f"{lessons.read_slug()}/" not in text, path.name
    for path in lessons.find_lessons():
        assert lessons.badge(path.name, "someone/fork") in lessons.load(path).cells[0].source
