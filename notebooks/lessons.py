"""Run the lessons, save them, and keep their links: `python notebooks/lessons.py run|save|slug [LESSON]`.

run   executes the lessons in order into build/ (the committed files stay untouched) and renders them to HTML
save  executes the lessons and stores them in place, with clean metadata
slug  writes the repository's slug, which stands in pyproject.toml, into every badge, link and setup cell
"""

import argparse
import contextlib
import html
import re
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from tqdm import tqdm

NOTEBOOKS = Path(__file__).resolve().parent
REPO = NOTEBOOKS.parent
BUILD = REPO / "build" / "lessons"
LINKED = [REPO / "README.md", REPO / "CITATION.cff"]  # files besides the lessons that name the repository
CELL_TIMEOUT = 600  # seconds

SETUP_ID = "setup"
SETUP_TAG = "nbval-ignore-output"
SETUP = '''\
# Setup: in Colab, fetch the course and install what is missing there. Elsewhere nothing is done.
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # must come before TensorFlow is imported
if "COLAB_RELEASE_TAG" in os.environ:
    repo = Path("/content/corroseg")
    if not repo.exists():
        url = "https://github.com/{slug}"
        subprocess.run(["git", "clone", "--quiet", "--depth=1", url, repo], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--editable", repo], check=True)
    sys.path.insert(0, str(repo))
    os.chdir(repo / "notebooks")'''

COLAB = "https://colab.research.google.com"
BADGE = re.compile(r"\[!\[Open In Colab\]\([^)]*\)\]\([^)]*\)")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "file_extension": ".py", "pygments_lexer": "ipython3"},
}


class LessonError(Exception):
    """A lesson that did not run to its end; the message names the lesson, the cell and its traceback."""


def find_lessons(prefix: str = "") -> list[Path]:
    """The lessons in reading order; with a prefix such as "04", only those whose name starts with it."""
    lessons = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    return [path for path in lessons if path.name.startswith(prefix)]


def load(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


# --- links: badge, setup cell, README ---


def read_slug() -> str:
    """The repository as "owner/name", from [project.urls] in pyproject.toml."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return "/".join(project["urls"]["Repository"].rstrip("/").split("/")[-2:])


def badge(name: str, slug: str) -> str:
    """The Colab badge of one lesson as Markdown; `name` is its file name."""
    link = f"{COLAB}/github/{slug}/blob/main/notebooks/{name}"
    return f"[![Open In Colab]({COLAB}/assets/colab-badge.svg)]({link})"


def linked_slugs(text: str) -> set[str]:
    """The repositories that the Colab links of a text lead to."""
    return set(re.findall(rf"{COLAB}/github/([\w.-]+/[\w.-]+)/blob", text))


def relink(text: str, old: set[str], slug: str) -> str:
    """Point every link to one of the repositories `old` at `slug`."""
    hosts = r"(github\.com/|githubusercontent\.com/|/github/)"
    for other in old:
        text = re.sub(rf"{hosts}{re.escape(other)}(?![\w-])", rf"\g<1>{slug}", text)
    return text


def link_lesson(notebook: NotebookNode, name: str, slug: str) -> None:
    """Write badge and setup cell of a lesson; the setup cell is the one with the id "setup"."""
    notebook.cells[0].source = BADGE.sub(badge(name, slug), notebook.cells[0].source)
    for cell in notebook.cells:
        if cell.get("id") == SETUP_ID:
            cell.source = SETUP.format(slug=slug)
            cell.metadata["tags"] = [SETUP_TAG]


def write_slug(slug: str) -> None:
    """Write the slug into the lessons and the LINKED files. Their Colab links tell which slug stood there."""
    linked = [path for path in LINKED if path.exists()]
    texts = {path: path.read_text(encoding="utf-8") for path in [*find_lessons(), *linked]}
    old = set().union(*map(linked_slugs, texts.values()))
    for path, text in texts.items():
        path.write_text(relink(text, old, slug), encoding="utf-8")
    for path in find_lessons():
        notebook = load(path)
        link_lesson(notebook, path.name, slug)
        nbformat.write(notebook, path)
    print(f"{slug} stands in {', '.join(path.name for path in texts)}")


# --- execution ---


def section(notebook: NotebookNode, index: int) -> str:
    """The last heading above a cell, to say where in a lesson the run is."""
    above = (cell.source for cell in notebook.cells[:index] if cell.cell_type == "markdown")
    headings = re.findall(r"^#+ +(.+)$", "\n".join(above), flags=re.MULTILINE)
    return headings[-1] if headings else ""


@contextlib.contextmanager
def ticking(bar: tqdm) -> Iterator[None]:
    """Keep the clock of a bar going during long cells; only on a terminal, for a log has no use for it."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(1):
            bar.refresh()

    thread = threading.Thread(target=tick, daemon=True)
    if sys.stderr.isatty():
        thread.start()
    try:
        yield
    finally:
        done.set()
        if thread.is_alive():
            thread.join()


def execute(notebook: NotebookNode, name: str) -> None:
    """Run one lesson in place, in the folder of the lessons, with a bar that counts its code cells.

    Raises:
        LessonError: a cell failed, took more than CELL_TIMEOUT seconds, or the kernel died.
    """
    total = sum(cell.cell_type == "code" for cell in notebook.cells)
    layout = "{desc} {bar:20} {n_fmt}/{total_fmt} cells {elapsed}{postfix}"
    with tqdm(total=total, desc=f"{name:24}", bar_format=layout) as bar, ticking(bar):
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT,
            kernel_name="python3",
            resources={"metadata": {"path": str(NOTEBOOKS)}},
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
            record_timing=False,
            coalesce_streams=True,
            on_cell_execute=lambda cell, cell_index: bar.set_postfix_str(section(notebook, cell_index)),
            on_cell_executed=lambda cell, cell_index, execute_reply: bar.update(),
        )
        try:
            client.execute()
        except (CellControlSignal, DeadKernelError) as error:
            raise LessonError(f"{name} failed. {error}") from error
        bar.set_postfix_str("")


# --- run ---


def results(notebook: NotebookNode) -> str:
    """What the cells tagged `result` printed: the figures that a run repeats at its end."""
    cells = [cell for cell in notebook.cells if "result" in cell.metadata.get("tags", [])]
    return "".join(out.text for cell in cells for out in cell.outputs if out.get("name") == "stdout").rstrip()


def render(notebook: NotebookNode, name: str) -> None:
    """Store an executed lesson in build/, as a notebook and as a page."""
    BUILD.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, BUILD / f"{name}.ipynb")
    page, _ = HTMLExporter().from_notebook_node(notebook, resources={"metadata": {"name": name}})
    (BUILD / f"{name}.html").write_text(page, encoding="utf-8")


def title(notebook: NotebookNode) -> str:
    return notebook.cells[0].source.splitlines()[0].lstrip("# ")


def write_index(rows: list[tuple[str, str, float, str]]) -> Path:
    """One page that leads to the lessons; a row is (name, title, seconds, results)."""
    items = "\n".join(
        f'<li><a href="{name}.html">{html.escape(text)}</a> <small>{minutes(seconds)}</small>'
        f"<pre>{html.escape(result)}</pre></li>"
        for name, text, seconds, result in rows
    )
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>corroseg: the lessons</title>\n'
        "<style>body{font:1.1rem/1.6 sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}"
        "small{color:#666}pre{white-space:pre-wrap}pre:empty{display:none}</style>\n"
        f"<h1>The lessons, as they ran here</h1>\n<ol>\n{items}\n</ol></html>\n"
    )
    path = BUILD / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def minutes(seconds: float) -> str:
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def run(lessons: list[Path]) -> None:
    rows = []
    start = time.monotonic()
    for path in lessons:
        notebook, began = load(path), time.monotonic()
        try:
            execute(notebook, path.stem)
        finally:  # a lesson that failed is worth a look too
            render(notebook, path.stem)
        rows.append((path.stem, title(notebook), time.monotonic() - began, results(notebook)))
    index = write_index(rows)
    for name, _, _, result in rows:
        if result:
            print(f"\n{name}\n{result}")
    took = minutes(time.monotonic() - start)
    print(f"\n{len(rows)} lessons ran in {took}. Look at {index.relative_to(REPO)}")


# --- save ---


def clean(notebook: NotebookNode) -> None:
    """Leave in a lesson only what a reader sees and nbval compares.

    Metadata that changes from run to run or from editor to editor goes, and so does stderr, which is not
    compared (see conftest.py). The ids of cells stay.
    """
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]


def save(lessons: list[Path]) -> None:
    slug = read_slug()
    for path in lessons:
        notebook = load(path)
        link_lesson(notebook, path.name, slug)
        execute(notebook, path.stem)
        clean(notebook)
        private = [root for root in (str(REPO), str(Path.home())) if root in nbformat.writes(notebook)]
        if private:
            raise LessonError(f"{path.name} prints {private[0]}, a path of this machine")
        nbformat.write(notebook, path)


def main() -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("command", choices=["run", "save", "slug"])
    parser.add_argument("lesson", nargs="?", default="", help='number or name of one lesson, such as "04"')
    args = parser.parse_args()
    if args.command == "slug":
        write_slug(read_slug())
        return 0
    lessons = find_lessons(args.lesson)
    if not lessons:
        print(f'No lesson in notebooks/ starts with "{args.lesson}"', file=sys.stderr)
        return 2
    try:
        {"run": run, "save": save}[args.command](lessons)
    except LessonError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
