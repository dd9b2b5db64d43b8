"""Run the notebooks of ``examples/notebooks`` and turn them into pages of the site.

Usage: ``python website/notebooks.py examples/notebooks/*.ipynb`` runs them and stores the outputs.
A code cell's outputs are what it prints and the figures that pyplot holds at its end, which Jupyter
shows too; nothing of Jupyter has to be installed.
"""

import base64
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"

Notebook = dict[str, Any]


def read(path: Path) -> Notebook:
    """Return a notebook's content."""
    content: Notebook = json.loads(path.read_text())
    return content


def executed(notebook: Notebook) -> Notebook:
    """Return the notebook with the outputs of its code cells, run from top to bottom.

    Files go to the current folder. Raises: what a cell raises.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    cells, number = [], 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            number += 1
            outputs = _outputs("".join(cell["source"]), namespace, f"cell {number}")
            cell = cell | {"outputs": outputs, "execution_count": number}
        cells.append(cell)
    return notebook | {"cells": cells}


def _outputs(source: str, namespace: dict[str, Any], name: str) -> list[dict[str, Any]]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, name, "exec"), namespace)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        text = printed.getvalue().splitlines(keepends=True)
        outputs.append({"output_type": "stream", "name": "stdout", "text": text})
    return outputs + [
        {
            "output_type": "display_data",
            "data": {"image/png": base64.b64encode(picture).decode(), "text/plain": ["<Figure>"]},
            "metadata": {},
        }
        for picture in _pictures()
    ]


def _pictures() -> list[bytes]:
    """Return pyplot's open figures as PNG, and close them."""
    if "matplotlib.pyplot" not in sys.modules:
        return []
    import matplotlib.pyplot as plt

    pictures = []
    for number in plt.get_fignums():
        file = io.BytesIO()
        plt.figure(number).savefig(file, format="png", dpi=100, metadata={"Software": None})
        pictures.append(file.getvalue())
    plt.close("all")
    return pictures


def page(notebook: Notebook, name: str) -> tuple[str, dict[str, bytes]]:
    """Return the notebook as Markdown, and its figures by file name.

    Args:
        notebook: with outputs.
        name: of the page, which its figures' names begin with.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source.replace("](../../docs/", "](../"))
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                parts.append(f"```text\n{''.join(output['text'])}```")
            else:
                file = f"{name}-{len(pictures) + 1}.png"
                pictures[file] = base64.b64decode(output["data"]["image/png"])
                parts.append(f"![Figure {len(pictures)}]({file})")
    where = f"examples/notebooks/{name}.ipynb"
    parts.append(f"*This page is the notebook `{where}` of the repository, with its outputs.*")
    return "\n\n".join(parts) + "\n", pictures


def main(paths: list[str]) -> None:
    """Run the notebooks and store them with their outputs."""
    os.environ.setdefault("MPLBACKEND", "agg")
    for path in [Path(path).resolve() for path in paths]:
        with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
            notebook = executed(read(path))
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
        print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
