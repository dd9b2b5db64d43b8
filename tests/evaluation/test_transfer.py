"""Transfer matrices: hand-made cells, the self row, what counts, files, and going on."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import FGSM, RandomNoise
from steadygrad.errors import (
    CheckpointError,
    HyperparameterError,
    LabelError,
    OutputError,
    ShapeError,
    UnknownNameError,
)
from steadygrad.evaluation import (
    TransferMatrix,
    accuracy,
    read_transfer,
    transfer_matrix,
    wilson_interval,
    write_transfer,
)
from steadygrad.store import Store

Data = tuple[Tensor, Tensor]


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)).eval()


@pytest.fixture
def data() -> Data:
    images = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = network(0)(images).argmax(dim=1)
    return images, labels


@pytest.fixture
def matrix(data: Data) -> TransferMatrix:
    sources = {"a": network(0), "b": network(1)}
    victims = {"a": sources["a"], "c": network(2), "b again": network(1)}
    return transfer_matrix(sources, *data, FGSM(eps=0.1), victims=victims, batch_size=16)


def test_cells_are_accuracies_on_the_other_models_examples(
    matrix: TransferMatrix, data: Data
) -> None:
    images, labels = data
    for name, seed in (("a", 0), ("b", 1)):
        examples = FGSM(eps=0.1)(network(seed), images, labels)
        assert matrix.self_cell(name).accuracy == accuracy(network(seed), examples, labels)
        for victim, other in (("a", 0), ("c", 2), ("b again", 1)):
            cell = matrix.cell(victim, name)
            assert cell.accuracy == accuracy(network(other), examples, labels)
            assert (cell.n, cell.eps) == (40, 0.1)
            assert cell.ci95 == wilson_interval(cell.correct, 40)
    assert matrix.clean_cell("c").accuracy == accuracy(network(2), images, labels)
    assert matrix.clean_cell("a").accuracy == 1.0


def test_a_model_is_its_own_victim_whatever_it_is_called(matrix: TransferMatrix) -> None:
    assert matrix.is_self.tolist() == [[True, False], [False, False], [False, True]]
    assert matrix.cell("b again", "b") == matrix.self_cell("b")


def test_without_victims_the_sources_are_shown_to_each_other(data: Data) -> None:
    sources = {"a": network(0), "b": network(1)}
    found = transfer_matrix(sources, *data, FGSM(eps=0.1))
    assert found.victims == found.sources == ("a", "b")
    assert found.is_self.tolist() == [[True, False], [False, True]]


def test_equal_weights_in_other_layers_are_another_model(data: Data) -> None:
    other = network(0)
    other[2] = nn.ReLU()
    found = transfer_matrix({"a": network(0)}, *data, FGSM(eps=0.1), victims={"b": other})
    assert not found.is_own("b", "a")
    assert found.source_digests == found.victim_digests


class Rounding(nn.Sequential):
    """Rounds its images, which shows neither in its weights nor in what it prints."""

    def __init__(self, levels: int) -> None:
        super().__init__(*network(0))
        self.levels = levels

    def forward(self, images: Tensor) -> Tensor:
        rounded = images.mul(self.levels).round().div(self.levels)
        return super().forward(images + (rounded - images).detach())


def test_what_a_forward_computes_makes_another_model(data: Data, tmp_path: Path) -> None:
    rough, fine = Rounding(2).eval(), Rounding(255).eval()
    found = transfer_matrix(
        {"rough": rough, "fine": fine}, *data, FGSM(eps=0.1), store=Store(tmp_path, print)
    )
    assert found.is_self.tolist() == [[True, False], [False, True]]
    for name, model in (("rough", rough), ("fine", fine)):
        alone = transfer_matrix({name: model}, *data, FGSM(eps=0.1))
        assert torch.equal(found.self_correct[found.sources.index(name)], alone.self_correct[0])


def test_any_callable_will_do(data: Data) -> None:
    model = network(0)

    def function(images: Tensor) -> Tensor:
        return model(images)

    found = transfer_matrix({"f": function}, *data, FGSM(eps=0.1))
    assert found.source_digests == (None,)
    assert found.is_own("f", "f")


def test_all_images_count_or_only_those_that_all_models_have_right(
    matrix: TransferMatrix, data: Data
) -> None:
    images, labels = data
    with torch.no_grad():
        right = [network(seed)(images).argmax(dim=1) == labels for seed in (0, 1, 2)]
    common = right[0] & right[1] & right[2]
    assert 0 < common.sum() < 40
    assert matrix.counted.all()
    restricted = replace(matrix, only_common=True)
    assert torch.equal(restricted.counted, common)
    cell = restricted.cell("c", "b")
    assert cell.n == int(common.sum())
    assert cell.correct == int(matrix.correct[1, 1][common].sum())
    assert restricted.clean_cell("c").accuracy == 1.0
    again = transfer_matrix(
        {"a": network(0), "b": network(1)}, *data, FGSM(eps=0.1),
        victims={"c": network(2)}, only_common=True,
    )  # fmt: skip
    assert again.cell("c", "b") == cell


def test_no_image_in_common_is_refused(matrix: TransferMatrix) -> None:
    nobody = torch.zeros_like(matrix.clean_victims)
    assert replace(matrix, clean_victims=nobody).common.sum() == 0
    with pytest.raises(HyperparameterError, match=r"models classify correctly .* got none of 40"):
        replace(matrix, clean_victims=nobody, only_common=True)


def test_random_attacks_give_the_same_matrix_for_the_same_seed(data: Data) -> None:
    def found(seed: int) -> Tensor:
        attack = RandomNoise(eps=0.5, distribution="sign")
        return transfer_matrix(
            {"a": network(0)}, *data, attack, victims={"c": network(2)}, seed=seed
        ).correct

    assert torch.equal(found(0), found(0))
    assert not torch.equal(found(0), found(1))


def test_models_are_in_eval_mode_meanwhile_and_get_their_mode_back(data: Data) -> None:
    model = nn.Sequential(network(0), nn.Dropout(0.99)).train()
    found = transfer_matrix({"a": model}, *data, FGSM(eps=0.0))
    assert found.clean_cell("a").accuracy == found.self_cell("a").accuracy == 1.0
    assert model.training


def test_json_has_every_accuracy(matrix: TransferMatrix) -> None:
    record = json.loads(json.dumps(matrix.to_json()))
    assert (record["eps"], record["norm"], record["n"], record["counted"]) == (0.1, "linf", 40, 40)
    assert record["attack"]["name"] == "fgsm"
    assert len(record["cells"]) == 6
    for cell in record["cells"]:
        point = matrix.cell(cell["victim"], cell["source"])
        assert (cell["accuracy"], cell["n"], cell["ci95"]) == (point.accuracy, 40, [*point.ci95])
        assert cell["is_self"] == matrix.is_own(cell["victim"], cell["source"])
    assert [source["name"] for source in record["sources"]] == ["a", "b"]
    assert record["sources"][1]["self"]["accuracy"] == matrix.self_cell("b").accuracy
    assert record["victims"][1]["clean"]["accuracy"] == matrix.clean_cell("c").accuracy


# --- going on ----------------------------------------------------------------


@pytest.fixture
def attacks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of every batch that FGSM attacks."""
    sizes: list[int] = []
    original: Callable[..., Tensor] = FGSM.__call__

    def counted(self: FGSM, model: Any, images: Tensor, *rest: Any, **options: Any) -> Tensor:
        sizes.append(len(images))
        return original(self, model, images, *rest, **options)

    monkeypatch.setattr(FGSM, "__call__", counted)
    return sizes


def test_examples_in_the_folder_are_not_made_again(
    tmp_path: Path, data: Data, attacks: list[int]
) -> None:
    sources = {"a": network(0), "b": network(1)}
    first = transfer_matrix(sources, *data, FGSM(eps=0.1), store=Store(tmp_path))
    assert attacks == [40, 40]
    heard: list[tuple[int, int]] = []
    more = {"c": network(2)}
    second = transfer_matrix(
        sources, *data, FGSM(eps=0.1), victims=more, store=Store(tmp_path),
        progress=lambda done, total: heard.append((done, total)),
    )  # fmt: skip
    assert attacks == [40, 40]
    assert torch.equal(first.self_correct, second.self_correct)
    assert heard == [(40, 80), (80, 80)]
    transfer_matrix({"d": network(3)} | sources, *data, FGSM(eps=0.1), store=Store(tmp_path))
    assert attacks == [40, 40, 40]


def test_a_call_that_was_stopped_goes_on(tmp_path: Path, data: Data, attacks: list[int]) -> None:
    sources = {"a": network(0), "b": network(1)}
    expected = transfer_matrix(sources, *data, FGSM(eps=0.1))
    attacks.clear()

    def stop(done: int, total: int) -> None:
        if done > 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transfer_matrix(sources, *data, FGSM(eps=0.1), store=Store(tmp_path), progress=stop)
    found = transfer_matrix(sources, *data, FGSM(eps=0.1), store=Store(tmp_path))
    assert attacks == [40, 40, 40]
    assert found.to_json() | {"seconds": 0} == expected.to_json() | {"seconds": 0}


# --- files -------------------------------------------------------------------


def test_comes_back_as_it_went(tmp_path: Path, matrix: TransferMatrix) -> None:
    path = write_transfer(tmp_path / "new" / "transfer.json", matrix, dataset={"name": "made up"})
    found = read_transfer(path)
    assert found.to_json() == matrix.to_json()
    assert torch.equal(found.correct, matrix.correct)
    assert torch.equal(found.labels, matrix.labels)
    record = json.loads(path.read_text())
    assert record["dataset"] == {"name": "made up"}
    assert record["versions"]["torch"] == torch.__version__


def test_damage_is_named(tmp_path: Path, matrix: TransferMatrix) -> None:
    path = tmp_path / "transfer.json"
    with pytest.raises(CheckpointError, match="cannot read"):
        read_transfer(path)
    write_transfer(path, matrix)
    record = json.loads(path.read_text())

    path.write_text("{")
    with pytest.raises(CheckpointError, match=r"transfer\.json is damaged"):
        read_transfer(path)
    path.write_text(json.dumps({key: value for key, value in record.items() if key != "eps"}))
    with pytest.raises(CheckpointError, match=r"transfer\.json is damaged: it has no 'eps'"):
        read_transfer(path)
    path.write_text(json.dumps(record | {"seed": math.inf}))
    with pytest.raises(CheckpointError, match="expected a whole number as 'seed', got inf"):
        read_transfer(path)
    path.write_text(json.dumps(record | {"only_common": "no"}))
    with pytest.raises(CheckpointError, match="expected true or false as 'only_common', got 'no'"):
        read_transfer(path)
    path.write_text(json.dumps(record))
    beside = path.with_suffix(".safetensors")
    write_transfer(tmp_path / "other.json", replace(matrix, correct=~matrix.correct))
    beside.write_bytes((tmp_path / "other.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="the outcomes beside it give other accuracies"):
        read_transfer(path)
    beside.unlink()
    with pytest.raises(CheckpointError, match=r"has no transfer\.safetensors beside it"):
        read_transfer(path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        write_transfer(tmp_path / "file" / "transfer.json", matrix)


# --- bad input ---------------------------------------------------------------


def test_bad_input_is_refused(data: Data, matrix: TransferMatrix) -> None:
    images, labels = data
    with pytest.raises(HyperparameterError, match="at least one source and one victim, got none"):
        transfer_matrix({}, images, labels, FGSM(eps=0.1))
    with pytest.raises(HyperparameterError, match="at least one source and one victim, got none"):
        transfer_matrix({"a": network()}, images, labels, FGSM(eps=0.1), victims={})
    with pytest.raises(LabelError, match="labels from 0 to 2, got 3"):
        transfer_matrix({"a": network()}, images, labels + 2, FGSM(eps=0.1))
    with pytest.raises(UnknownNameError, match="victim one of a, c, b again, got 'd'"):
        matrix.cell("d", "a")
    with pytest.raises(UnknownNameError, match="source one of a, b, got 'c'"):
        matrix.self_cell("c")
    with pytest.raises(HyperparameterError, match="each name once, got a, a"):
        replace(matrix, sources=("a", "a"))
    with pytest.raises(ShapeError, match=r"correct bool of shape \(3, 2, 40\), got torch.bool"):
        replace(matrix, correct=matrix.correct[:2])
