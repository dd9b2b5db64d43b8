"""What is kept of an audit, reused, repaired and read back."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from small_audits import EPS, Calls, Data, small_audit
from steadygrad.attacks import FGSM, PGD
from steadygrad.errors import CheckpointError
from steadygrad.evaluation.auditing import AuditResult, read_audit
from steadygrad.tensor_file import read_tensors, write_tensors


def test_a_stopped_audit_goes_on_and_gives_the_same_json(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    class Stop(KeyboardInterrupt):
        pass

    def stop_at_the_third(name: str, done: int, total: int) -> None:
        if name == "pgd-5" and done > 0:
            raise Stop

    options: dict[str, Any] = {"batch_size": 25, "diagnostics": True}
    with pytest.raises(Stop):
        small_audit(trained, few, out=tmp_path / "a", progress=stop_at_the_third, **options)
    assert len(list((tmp_path / "a/attacks").iterdir())) == 2
    resumed = small_audit(trained, few, out=tmp_path / "a", **options)
    whole = small_audit(trained, few, out=tmp_path / "b", **options)

    def timeless(result: AuditResult) -> Any:
        record = result.to_json() | {"seconds": 0, "created": ""}
        for attack in record["attacks"]:
            attack["seconds"] = 0
        return record

    assert timeless(resumed) == timeless(whole)
    for ours, theirs in zip(resumed.outcomes, whole.outcomes, strict=True):
        assert torch.equal(ours.broken, theirs.broken)
    assert resumed.gallery is not None and whole.gallery is not None
    assert torch.equal(resumed.gallery.adversarial, whole.gallery.adversarial)
    first = (tmp_path / "a/audit.json").read_bytes()
    small_audit(trained, few, out=tmp_path / "a", **options)
    assert (tmp_path / "a/audit.json").read_bytes() == first


def test_another_attack_repeats_none_that_is_there(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    counted = Calls(trained)

    def calls(*attacks: Any) -> int:
        before = counted.batches
        small_audit(counted, few, attacks=attacks, out=tmp_path)
        return counted.batches - before

    first = calls(FGSM(eps=EPS))
    idle = calls(FGSM(eps=EPS))
    assert idle == first - 1  # one batch of FGSM; fitness looks at the model each time
    assert calls(FGSM(eps=EPS), PGD(eps=EPS, steps=7)) == idle + 7
    assert calls(FGSM(eps=EPS), PGD(eps=EPS, steps=7)) == idle


def test_what_decides_a_result_decides_whether_it_is_reused(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    def files(model: nn.Module = trained, data: Data = few, **options: Any) -> int:
        settings = {"attacks": [PGD(eps=EPS)], "out": tmp_path} | options
        small_audit(model, data, **settings)
        return len(list((tmp_path / "attacks").iterdir()))

    class Scaled(nn.Sequential):
        factor = 1

        def forward(self, images: Tensor) -> Tensor:
            return self.factor * super().forward(images)

    scaled = Scaled(*trained)
    other = nn.Sequential(*trained[:-1], nn.Linear(512, 10))
    other.load_state_dict(trained.state_dict())
    with torch.no_grad():
        other[-1].bias[0] += 1e-3
    assert files() == 1
    assert files() == 1
    assert files(other) == 2
    assert files(scaled) == 3
    scaled.factor = 2  # neither weights nor what it prints as has changed
    assert files(scaled) == 4
    assert files(data=(few[0][1:], few[1][1:])) == 5
    assert files(eps=0.11) == 6
    assert files(seed=1) == 7
    assert files(batch_size=16) == 8
    assert files(attacks=[PGD(eps=EPS, random_start=False)]) == 9


def test_a_damaged_file_is_told_of_and_made_again(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    told: list[str] = []
    first = small_audit(trained, few, out=tmp_path)
    files = sorted((tmp_path / "attacks").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:-30])
    files[1].write_bytes(files[2].read_bytes())
    again = small_audit(trained, few, out=tmp_path, notify=told.append)
    assert len(told) == 2 and all("is damaged" in sentence for sentence in told)
    assert again.worst_case == first.worst_case


def test_the_result_comes_back_from_disk(trained: nn.Module, few: Data, tmp_path: Path) -> None:
    result = small_audit(trained, few, out=tmp_path, model_name="net", seed=3)
    found = read_audit(tmp_path)
    assert found.to_json() == result.to_json()
    assert json.loads((tmp_path / "audit.json").read_text())["model"]["name"] == "net"
    for ours, theirs in zip(result.outcomes, found.outcomes, strict=True):
        assert torch.equal(ours.attacked, theirs.attacked)
        assert torch.equal(ours.broken, theirs.broken)
    assert result.gallery is not None and found.gallery is not None
    assert torch.equal(found.gallery.adversarial, result.gallery.adversarial)
    assert found.gallery.attacks == result.gallery.attacks


def changed(record: dict[str, Any], place: str, value: object) -> dict[str, Any]:
    record = copy.deepcopy(record)
    *above, name = place.split(".")
    inner: Any = record
    for step in above:
        inner = inner[int(step)] if isinstance(inner, list) else inner[step]
    inner[name] = value
    return record


def test_a_damaged_audit_is_refused_in_one_sentence(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    small_audit(trained, few, out=tmp_path)
    path = tmp_path / "audit.json"
    record = json.loads(path.read_text())
    for place, value, message in (
        ("settings.seed", math.inf, "expected a whole number as 'seed', got inf"),
        ("uncertified", math.inf, "expected a whole number as 'uncertified', got inf"),
        ("model", [], r"expected an object as 'model', got \[\]"),
        ("attacks.0.attack", "fgsm", "expected an object as 'attack', got 'fgsm'"),
        ("verdict.level", -1, "there is no verdict -1"),
    ):
        path.write_text(json.dumps(changed(record, place, value)))
        with pytest.raises(CheckpointError, match=message) as caught:
            read_audit(tmp_path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_the_tensors_of_another_audit_are_refused(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    small_audit(trained, few, out=tmp_path)
    beside = tmp_path / "audit.safetensors"
    tensors, _ = read_tensors(beside)
    name = next(name for name in tensors if name.startswith("broken/") and tensors[name].any())
    for other in ({"clean_correct": ~tensors["clean_correct"]}, {name: ~tensors[name]}):
        write_tensors(beside, tensors | other, {})
        with pytest.raises(CheckpointError, match="outcomes beside it give other accuracies"):
            read_audit(tmp_path)
