"""The notebooks run from top to bottom, and their pages show what they stored."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
NUMBER = re.compile(r"\d[\d.,e+-]*")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.fixture(scope="module")
def notebooks() -> ModuleType:
    specification = importlib.util.spec_from_file_location(
        "notebooks", ROOT / "website" / "notebooks.py"
    )
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def kinds_of_outputs(notebook: dict[str, Any]) -> list[list[str]]:
    return [
        [output["output_type"] for output in cell["outputs"]]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


def words_of_outputs(notebook: dict[str, Any]) -> list[str]:
    """Return what every cell prints, without the numbers, which other machines round otherwise."""
    return [
        NUMBER.sub("#", "".join(output["text"]))
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        for output in cell["outputs"]
        if output["output_type"] == "stream"
    ]


def test_there_are_a_tour_and_an_audit() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["audit_together", "first_tour"]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.slow] if path.stem == "audit_together" else [])
        for path in NOTEBOOKS
    ],
    ids=lambda path: path.stem,
)
def test_a_notebook_runs_and_prints_and_draws_what_it_did_before(
    path: Path, notebooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    stored = notebooks.read(path)
    again = notebooks.executed(stored)
    assert kinds_of_outputs(again) == kinds_of_outputs(stored)
    assert words_of_outputs(again) == words_of_outputs(stored)
    assert sum("display_data" in kinds for kinds in kinds_of_outputs(stored)) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_page_has_the_stored_outputs_and_figures(path: Path, notebooks: ModuleType) -> None:
    stored = notebooks.read(path)
    text, pictures = notebooks.page(stored, path.stem)
    assert text.startswith("# ")
    assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())
    assert len(pictures) == sum(kinds.count("display_data") for kinds in kinds_of_outputs(stored))
    assert all(f"({name})" in text for name in pictures)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_a_notebook_lead_somewhere(path: Path, notebooks: ModuleType) -> None:
    for cell in notebooks.read(path)["cells"]:
        if cell["cell_type"] == "markdown":
            for target in LINK.findall("".join(cell["source"])):
                assert (path.parent / target).exists(), target


def test_an_error_in_a_cell_is_raised_and_figures_are_those_of_pyplot(
    notebooks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells = ["import matplotlib.pyplot as plt\nplt.subplots()\nprint('drawn')", "raise OSError"]
    made = [{"cell_type": "code", "source": [source], "outputs": []} for source in cells]
    done = notebooks.executed({"cells": made[:1]})
    assert kinds_of_outputs(done) == [["stream", "display_data"]]
    with pytest.raises(OSError):
        notebooks.executed({"cells": made})
