"""A transfer matrix in words, numbers and colours."""

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.patches import Rectangle
from rich.console import Console

from steadygrad.evaluation import TransferMatrix
from steadygrad.reports.figures import save_figure
from steadygrad.reports.transfer import (
    transfer_csv,
    transfer_figure,
    transfer_markdown,
    transfer_table,
    transfer_title,
)

HOSTILE = "_a $x^{$ | <b>"


def right(*accuracies: int) -> torch.Tensor:
    """So many of 20 images right, one row for each number."""
    return torch.stack([torch.arange(20) < count for count in accuracies])


@pytest.fixture
def matrix() -> TransferMatrix:
    return TransferMatrix(
        attack={"name": "fgsm"},
        eps=0.1,
        norm="linf",
        sources=("real", "complex"),
        victims=("real", HOSTILE, "third"),
        source_digests=("r", "c"),
        victim_digests=("r", None, "t"),
        is_self=torch.tensor([[True, False], [False, False], [False, False]]),
        correct=torch.stack([right(2, 11), right(8, 20), right(0, 14)]),
        self_correct=right(2, 5),
        clean_victims=right(19, 18, 16),
        clean_sources=right(19, 20),
        labels=torch.zeros(20, dtype=torch.int64),
        only_common=False,
        seed=0,
        seconds=1.0,
    )


def test_title_says_attack_radius_and_what_counts(matrix: TransferMatrix) -> None:
    assert transfer_title(matrix) == "Accuracy (%) on FGSM at eps 0.1, 20 images"
    assert transfer_title(replace(matrix, only_common=True)).endswith(
        "16 images that all models classify correctly without attack"
    )


def test_markdown_has_a_row_for_self_and_each_victim(matrix: TransferMatrix) -> None:
    text = transfer_markdown(matrix)
    lines = text.splitlines()
    assert lines[2] == "| shown to | clean | from real | from complex |"
    assert lines[4].startswith("| self | – | 10.0\u00a0% (2.8–30.1) | 25.0\u00a0% (11.2–46.9) |")
    assert lines[5].startswith("| real | 95.0\u00a0% (")
    # The victim that is the source is marked, and no other.
    assert lines[5].count("\\*") == 1
    assert lines[5].index("\\*") < lines[5].index("55.0")
    assert lines[6].startswith("| \\_a $x^\\{$ \\| \\<b\\> | 90.0")
    assert "\\*" not in lines[6]
    assert len([line for line in lines if line.startswith("|")]) == 6


def test_csv_has_a_line_for_each_cell(matrix: TransferMatrix) -> None:
    rows = list(csv.DictReader(io.StringIO(transfer_csv(matrix))))
    assert [row["role"] for row in rows].count("victim") == 6
    assert [row["role"] for row in rows].count("clean") == 3
    assert [row["source"] for row in rows if row["role"] == "self"] == ["real", "complex"]
    (cell,) = [row for row in rows if (row["victim"], row["source"]) == (HOSTILE, "real")]
    assert (float(cell["accuracy"]), cell["correct"], cell["n"]) == (0.4, "8", "20")
    assert float(cell["low"]) < 0.4 < float(cell["high"])
    (own,) = [row for row in rows if row["is_self"] == "true" and row["role"] == "victim"]
    assert (own["victim"], own["source"]) == ("real", "real")


def test_terminal_table_shows_all_numbers(matrix: TransferMatrix) -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(transfer_table(matrix))
    text = console.export_text()
    for shown in ("self", HOSTILE, "from complex", "10.0*", "55.0", "100.0", "25.0", "2.8–30.1"):
        assert shown in text


def test_figure_has_every_number_in_its_place(matrix: TransferMatrix) -> None:
    figure = transfer_figure(matrix)
    clean, attacked = figure.axes
    written = {(round(text.xy[0]), round(text.xy[1]), text.get_text()) for text in attacked.texts}
    assert {(0, 0, "10.0"), (1, 0, "25.0"), (0, 2, "40.0"), (1, 2, "100.0")} <= written
    assert {(0, 3, "0.0"), (1, 3, "70.0")} <= written
    assert len(written) == 2 * 2 * 4
    # Nobody is shown "self" without attack.
    assert {(text.get_text()) for text in clean.texts if text.xy[1] == 0} == set()
    assert [label.get_text() for label in clean.get_yticklabels()][:2] == ["self", "real"]
    assert [label.get_text() for label in attacked.get_xticklabels()] == ["real", "complex"]
    assert attacked.get_xlabel() == "examples made on"
    assert "Accuracy (%)" in figure.get_suptitle()
    (image,) = attacked.get_images()
    assert image.get_array().round(9).tolist() == [[10, 25], [10, 55], [40, 100], [0, 70]]


def test_only_a_victim_that_is_its_source_is_framed(matrix: TransferMatrix) -> None:
    attacked = transfer_figure(matrix).axes[1]
    (frame,) = [patch for patch in attacked.patches if isinstance(patch, Rectangle)]
    x, y = frame.get_center()
    assert (round(x), round(y)) == (0, 1)


def test_numbers_can_be_read_on_their_colour(matrix: TransferMatrix) -> None:
    """White on dark, ink on light: a contrast of at least 4.5, WCAG's for text, in every cell."""
    from matplotlib.colors import to_rgb

    def luminance(color: Any) -> float:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)
        ]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for count in range(21):
        attacked = transfer_figure(replace(matrix, self_correct=right(count, count))).axes[1]
        (image,) = attacked.get_images()
        ground = luminance(tuple(image.cmap(image.norm(5 * count)))[:3])
        text = next(text for text in attacked.texts if text.xy == (0, 0))
        dark, light = sorted((ground, luminance(text.get_color())))
        assert (light + 0.05) / (dark + 0.05) > 4.5, count


def test_is_drawn_to_a_file(matrix: TransferMatrix, tmp_path: Path) -> None:
    for suffix in (".png", ".svg"):
        assert save_figure(transfer_figure(matrix), tmp_path / f"t{suffix}").stat().st_size > 0
    assert "_a $x^{$ | &lt;b&gt;" in (tmp_path / "t.svg").read_text()
