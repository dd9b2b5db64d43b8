"""What a report says of attacks in L2, and of files from before an attack had a norm."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from steadygrad.attacks import FGSM, PGD, describe_attack
from steadygrad.errors import CheckpointError
from steadygrad.reports import compare_runs, load_runs, render_report

MakeRun = Callable[..., Path]
DATE = datetime(2025, 1, 2, tzinfo=UTC)
L2_PGD = describe_attack(PGD(eps=0, norm="l2"))
RADII = tuple(step / 4 for step in range(9))
L2 = {"attack": L2_PGD, "eps": RADII, "half": 0.8}


def test_evaluations_from_before_norms_and_losses_are_compared_with_those_of_today(
    make_run: MakeRun,
) -> None:
    old = {
        "name": "pgd",
        "steps": 8,
        "step_size": None,
        "restarts": 1,
        "random_start": True,
        "targeted": False,
        "start_from_prediction": False,
    }
    runs = load_runs(
        [make_run("old", attack=old), make_run("new", attack=describe_attack(PGD(eps=0)))]
    )
    (comparison,) = compare_runs(runs)
    assert len(comparison.entries) == 2
    assert comparison.protocol.attack == describe_attack(PGD(eps=0))
    targeted = load_runs([make_run("targeted", attack=old | {"targeted": True})])
    (comparison,) = compare_runs(targeted)
    assert comparison.protocol.attack == describe_attack(PGD(eps=0, target="random"))
    fgsm = {"name": "fgsm", "start_from_prediction": False}
    (comparison,) = compare_runs(load_runs([make_run("fgsm", attack=fgsm)]))
    assert comparison.protocol.attack == describe_attack(FGSM(eps=0))


def test_a_page_about_l2_speaks_of_lengths_and_never_of_each_pixel(make_run: MakeRun) -> None:
    page = render_report(
        load_runs([make_run("a", **L2), make_run("b", **L2)]), title=None, created=DATE
    )
    assert "L2 PGD(8) on 360 test images" in page
    assert "changing each image by at most eps in L2" in page
    assert "may change every image by at most eps in L2" in page
    assert "9 values of eps from 0 to 2: the length of an image" in page
    assert "perturbation radius eps (L2 length" in page
    assert "pixels moved by up to 0.1" in page  # the made-up gallery's change
    for wrong in ("each pixel by at most", "every pixel by at most", "L-infinity", "grey levels"):
        assert wrong not in page


def test_both_norms_stand_apart_on_one_page(make_run: MakeRun, add_evaluation: MakeRun) -> None:
    path = make_run("a")
    add_evaluation(path, slug="l2", **L2)
    page = render_report(load_runs([path]), title=None, created=DATE)
    assert (
        "Only changes of each pixel by at most eps (L-infinity) and changes of each image by at "
        "most eps in L2 were tried"
    ) in page


def test_only_l2_radii_may_exceed_1(make_run: MakeRun) -> None:
    with pytest.raises(CheckpointError, match=r"at eps 1\.25"):
        load_runs([make_run("a", eps=RADII)])
