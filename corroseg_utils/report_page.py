"""report.html: one file that opens without a network, made from the template and its style and script.

Names come from file systems and tables, so they are hostile until proven otherwise: Jinja2 escapes all of
them, data for the script is JSON in elements that a browser never runs, the script only ever sets text, and
the page's content policy allows nothing but this style, this script (both by their hash) and pictures inside
the page.
"""

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from corroseg_utils.dataset import CLASS_NAMES
from corroseg_utils.findings import ODDS_FACTOR, moved
from corroseg_utils.overlay import COLOURS
from corroseg_utils.photo_quality import CLEAR
from corroseg_utils.photo_reader import MOST_WORKING_PIXELS

TEMPLATES = Path(__file__).parent / "templates"
CLASS_TITLES = {"cor": "corrosion", "rus": "rust", "pit": "pitting", "lom": "loss of material"}


def write_page(file: BinaryIO, content: dict, pictures: Path) -> None:
    """Write report.html piece by piece, so that 500 photos need no more memory than one.

    content: findings.json. pictures: folder of the photos' small pictures, `<id>_photo.jpg` and so on.
    """
    def picture(key: str, name: str) -> str:
        kind = "png" if name.endswith(".png") else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode((pictures / f'{key}_{name}').read_bytes()).decode()}"

    style, script = (_inline(name) for name in ("report.css", "report.js"))
    used = {finding["class"] for photo in content["photos"] for finding in photo["findings"]} | {"cor"}
    page = _environment().get_template("report.html.j2").generate(
        **content, picture=picture, style=style, script=script, style_hash=_hash(style),
        script_hash=_hash(script), unclear=sum(photo["quality"] != CLEAR for photo in content["photos"]),
        odds=ODDS_FACTOR, strict=moved(content["threshold"], ODDS_FACTOR),
        loose=moved(content["threshold"], 1 / ODDS_FACTOR), most_megapixels=MOST_WORKING_PIXELS // 10**6,
        legend=[(name, title, "#" + COLOURS[CLASS_NAMES.index(name)].tobytes().hex())
                for name, title in CLASS_TITLES.items() if name in used],
    )
    for piece in page:
        file.write(piece.encode())


@lru_cache
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def _inline(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text("utf-8"))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
