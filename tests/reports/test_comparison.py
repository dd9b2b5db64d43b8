"""Laws of steadygrad.reports.comparison and cautions: only like is compared with like."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from steadygrad.errors import HyperparameterError
from steadygrad.models import MODELS
from steadygrad.reports import Comparison, cautions, compare_runs, load_runs
from steadygrad.training import ModelSpec, save_model

MakeRun = Callable[..., Path]
FGSM = {"name": "fgsm", "start_from_prediction": False}
NOISE = {"name": "random-noise", "distribution": "uniform", "samples": 1}
LONG_PGD = {"name": "pgd", "steps": 50, "step_size": None, "restarts": 1}


def test_equal_protocols_share_one_comparison(make_run: MakeRun) -> None:
    runs = load_runs([make_run("a"), make_run("b", half=0.2)])
    (comparison,) = compare_runs(runs)
    assert [entry.run.name for entry in comparison.entries] == ["a", "b"]
    assert comparison.has_equal_grids
    assert cautions(runs, [comparison]) == []


def test_a_search_that_is_no_sweep_is_named(make_run: MakeRun) -> None:
    runs = load_runs([make_run("a"), make_run("b", search="continued")])
    first, second = compare_runs(runs)
    assert first.protocol.name == "PGD(8) on 360 test images of digits"
    assert second.protocol.name == "PGD(8), continued, on 360 test images of digits"


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"n": 100}, "on 100 images instead of 360"),
        ({"dataset": "mnist"}, r"on mnist \(test\) instead of digits \(test\)"),
        ({"attack": FGSM}, r"with FGSM instead of PGD\(8\)"),
        ({"attack": LONG_PGD}, r"with PGD\(50\) instead of PGD\(8\)"),
        ({"note": "another split"}, "on another preparation of the data set"),
        ({"search": "continued"}, "by the search 'continued' instead of 'sweep'"),
        ({"search": "separate"}, "by the search 'separate' instead of 'sweep'"),
    ],
)
def test_other_data_numbers_and_attacks_are_set_apart_and_named(
    make_run: MakeRun, change: dict[str, object], difference: str
) -> None:
    config = {"dataset": change.get("dataset", "digits")}
    paths = [make_run("a"), make_run("b"), make_run("odd", config=config, **change)]
    runs = load_runs(paths)
    comparisons = compare_runs(runs)
    names = [[entry.run.name for entry in comparison.entries] for comparison in comparisons]
    assert names == [["a", "b"], ["odd"]]
    (caution,) = cautions(runs, comparisons)
    assert re.search(f"odd was evaluated {difference}: .* not compared", caution)


def test_only_shared_eps_are_compared(make_run: MakeRun) -> None:
    runs = load_runs(
        [make_run("a", eps=(0.0, 0.1, 0.2, 0.3)), make_run("b", eps=(0.0, 0.05, 0.1, 0.3))]
    )
    (comparison,) = compare_runs(runs)
    assert comparison.shared_eps == (0.0, 0.1, 0.3)
    assert not comparison.has_equal_grids
    entry = comparison.entries[0]
    expected = sum(point.accuracy for point in entry.points if point.eps != 0.2) / 3
    assert comparison.mean_accuracy(entry) == pytest.approx(expected)
    (caution,) = cautions(runs, [comparison])
    assert "only eps 0, 0.1 and 0.3, which all share, are compared" in caution


def test_no_shared_eps_is_said(make_run: MakeRun) -> None:
    runs = load_runs([make_run("a", eps=(0.1, 0.2)), make_run("b", eps=(0.15,))])
    (comparison,) = compare_runs(runs)
    assert (comparison.middle_eps, comparison.shown_eps) == (None, ())
    (caution,) = cautions(runs, [comparison])
    assert "no eps is shared" in caution


def test_the_middle_is_of_the_range_and_above_zero(make_run: MakeRun) -> None:
    (comparison,) = compare_runs(load_runs([make_run("a")]))
    assert comparison.middle_eps == 0.14  # 0.14 and 0.16 are equally near: the smaller
    assert comparison.shown_eps == (0.1, 0.14, 0.2, 0.3)
    (comparison,) = compare_runs(load_runs([make_run("b", eps=(0.0, 0.3))]))
    assert comparison.middle_eps == 0.3
    (comparison,) = compare_runs(load_runs([make_run("c", eps=(0.0,))]))
    assert (comparison.middle_eps, comparison.shown_eps) == (0.0, ())


def test_most_runs_then_the_stronger_attack_come_first(
    make_run: MakeRun, add_evaluation: Callable[..., Path]
) -> None:
    paths = [make_run("a"), make_run("b")]
    for path in paths:
        add_evaluation(path, slug="noise", attack=NOISE)
        add_evaluation(path, slug="pgd50", attack=LONG_PGD)
    add_evaluation(paths[0], slug="fgsm", attack=FGSM)
    comparisons = compare_runs(load_runs(paths))
    assert [c.protocol.name.split(" on ")[0] for c in comparisons] == [
        "PGD(50)",
        "PGD(8)",
        "random noise (uniform)",
        "FGSM",
    ]


def test_any_noise_comes_after_an_attack(
    make_run: MakeRun, add_evaluation: Callable[..., Path]
) -> None:
    path = make_run("a", attack={"name": "lrc", "decay_length": 8.0, "samples": 100})
    add_evaluation(path, slug="fgsm", attack=FGSM, created="2026-01-01T00:00:00+00:00")
    comparisons = compare_runs(load_runs([path]))
    assert [c.protocol.attack["name"] for c in comparisons] == ["fgsm", "lrc"]


def test_of_several_evaluations_the_one_like_the_other_runs_counts(
    make_run: MakeRun, add_evaluation: Callable[..., Path]
) -> None:
    a, b = make_run("a"), make_run("b")
    add_evaluation(b, slug="fine", eps=(0.0, 0.01, 0.02), created="2025-03-01T00:00:00+00:00")
    runs = load_runs([a, b])
    (comparison,) = compare_runs(runs)
    assert comparison.has_equal_grids
    (caution,) = cautions(runs, [comparison])
    assert caution.startswith("b has 2 evaluations under PGD(8)")


def test_folders_of_images_with_one_name_are_not_set_side_by_side(make_run: MakeRun) -> None:
    def compared(dataset: str) -> list[Comparison]:
        runs = [
            make_run(f"{Path(dataset).name}-{digest}", dataset=dataset, digest=digest)
            for digest in ("1", "2")
        ]
        return list(compare_runs(load_runs(runs)))

    one, other = compared("a/folder")
    said = other.protocol.differences(one.protocol)
    assert said == ["on other images of a data set of the same name"]
    assert len(compared("digits")) == 1


def test_an_evaluation_of_older_weights_is_flagged(make_run: MakeRun) -> None:
    path = make_run("a")
    spec = ModelSpec(MODELS.parse("digits-real"), (1, 8, 8), 10)
    save_model(path / "model.safetensors", spec.build(), spec)
    file = path / "evaluations" / "pgd.json"
    file.write_text(file.read_text().replace('"model_digest": null', '"model_digest": "0a"'))
    runs = load_runs([path])
    (caution,) = cautions(runs, compare_runs(runs))
    assert caution.startswith("The weights of a have changed since its evaluation under PGD(8)")


def test_unfinished_foreign_and_unlike_machines_are_flagged(make_run: MakeRun) -> None:
    runs = load_runs(
        [
            make_run("a", epochs_done=5),
            make_run("b", config={"dataset": "mnist"}, threads=2),
        ]
    )
    unfinished, foreign, timing = cautions(runs, compare_runs(runs))
    assert unfinished.startswith("a is unfinished: 5 of 12 epochs are done.")
    assert foreign == "b was trained on mnist but evaluated on digits."
    assert "training times are not comparable" in timing


def test_the_same_folder_twice_or_none_is_refused(make_run: MakeRun) -> None:
    (run,) = load_runs([make_run("a")])
    with pytest.raises(HyperparameterError, match=r"every run once, got .*a twice"):
        compare_runs([run, run])
    with pytest.raises(HyperparameterError, match="at least one run"):
        compare_runs([])
