"""requirements.txt, the package's own dependencies, and what Google Colab ships agree."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPO = Path(__file__).resolve().parent.parent
COLAB = REPO.parent / "shared" / "colab" / "pip-freeze.txt"  # its published package list, where it is at hand


def read_requirements() -> dict[str, Requirement]:
    lines = (REPO / "requirements.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def test_package_asks_for_the_same_versions():
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = {str(requirement) for requirement in read_requirements().values()}
    assert [line for line in project["dependencies"] if line not in listed] == []


@pytest.mark.skipif(not COLAB.exists(), reason=f"{COLAB.name} of Colab is not at hand")
def test_colab_keeps_what_it_ships():
    lines = COLAB.read_text(encoding="utf-8").splitlines()
    shipped = dict(line.split("==") for line in lines if "==" in line)
    shipped = {canonicalize_name(name): version for name, version in shipped.items()}
    required = read_requirements()
    preinstalled = required.keys() & shipped.keys()
    assert {"tensorflow", "keras", "numpy", "pandas", "matplotlib", "pillow"} <= preinstalled
    changed = [
        f"{required[name]}: Colab ships {shipped[name]}"
        for name in sorted(preinstalled)
        if not required[name].specifier.contains(shipped[name], prereleases=True)
    ]
    assert changed == []
