"""``steadygrad compare-audits`` as a user types it."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from made_up_audit import made_up_audit
from program import Program
from steadygrad.evaluation.auditing.result import write_audit


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two audits of the same images; the second model keeps the first 60 of them."""
    first = made_up_audit()
    kept = torch.arange(first.n) < 60
    outcomes = tuple(dataclasses.replace(o, broken=o.broken & ~kept) for o in first.outcomes)
    second = made_up_audit(model={"name": "better"}, outcomes=outcomes)
    for name, result in (("a", first), ("b", second)):
        write_audit(result, tmp_path / name)
    return tmp_path / "a", tmp_path / "b"


def test_audits_stand_side_by_side(program: Program, folders: tuple[Path, Path]) -> None:
    outcome = program("compare-audits", *folders)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    (first,) = (line for line in lines if line.startswith("mnist-complex"))
    (second,) = (line for line in lines if line.startswith("better"))
    assert first.split()[1:5] == ["97.0", "48.0", "–", "–"]
    assert second.split()[1:5] == ["97.0", "77.0", "+29.0", "<0.0001"]
    assert "The verdict on mnist-complex and better is: doubtful" in outcome.out


def test_json_holds_counts_and_nothing_else_is_printed(
    program: Program, folders: tuple[Path, Path]
) -> None:
    outcome = program("compare-audits", *folders, "--json")
    printed = json.loads(outcome.out)
    assert outcome.err == ""
    assert [audit["name"] for audit in printed["audits"]] == ["mnist-complex", "better"]
    against = printed["audits"][1]["against_first"]
    assert (against["only_first"], against["only_second"], against["n"]) == (58, 0, 200)
    assert printed["audits"][0]["against_first"] is None


def test_other_images_one_audit_and_no_audit_end_in_a_sentence(
    program: Program, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    write_audit(made_up_audit(data={"digest": "others"}), tmp_path / "others")
    for arguments, sentence in (
        ((folders[0], tmp_path / "others"), "expected audits of the same images and labels"),
        ((folders[0],), "expected at least two audits to compare, got 1"),
        ((folders[0], tmp_path / "missing"), "cannot read"),
    ):
        outcome = program("compare-audits", *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert sentence in outcome.err
        assert outcome.err.count("\n") == 1


def test_a_page_is_written_beside_the_table(
    program: Program, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    page = tmp_path / "deep" / "compared.html"
    outcome = program("compare-audits", *folders, "--out", page)
    assert outcome.code == 0 and f"page: {page}" in " ".join(outcome.err.split())
    text = page.read_text(encoding="utf-8")
    assert "2 audits compared" in text and "<0.0001" not in text and "&lt;0.0001" in text
    assert "+29.0 (" in text and "better" in text
    assert "broke 0 of" in text or "broke 3 of" in text  # nes met what others had left
