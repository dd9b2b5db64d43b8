"""The audit itself: worst case, exact counts, resuming, and what foreign parts may do to it."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evaluation.auditing.test_fitness import Wrapped
from steadygrad.attacks import FGSM, PGD, RandomNoise, WhiteNoise
from steadygrad.errors import HyperparameterError, ModelError, OutputError, UnknownNameError
from steadygrad.evaluation import predictions
from steadygrad.evaluation.auditing import AuditResult, BatteryEntry, UnfitError, audit, read_audit
from steadygrad.reports.audit.page import render_audit_page

Data = tuple[Tensor, Tensor]
EPS = 0.1
ATTACKS = (
    RandomNoise(eps=EPS, samples=3),
    FGSM(eps=EPS),
    PGD(eps=EPS, steps=5),
    PGD(eps=EPS, steps=10, restarts=2, loss="margin"),
)


@pytest.fixture
def few(held_out: Data) -> Data:
    return held_out[0][:60], held_out[1][:60]


def small_audit(model: Any, data: Data, **options: Any) -> AuditResult:
    settings = {"budget": None, "attacks": ATTACKS, "diagnostics": False} | options
    return audit(model, *data, eps=settings.pop("eps", EPS), **settings)


class Calls(nn.Module):
    """The model, and how often it has been called with gradients on, which attacks alone do."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.batches = model, 0

    def forward(self, images: Tensor) -> Tensor:
        self.batches += images.requires_grad
        return self.model(images)


@dataclass(frozen=True, kw_only=True)
class Meddling:
    """An attack that does one thing to the batch, whatever it is."""

    eps: float
    what: Callable[..., Any]

    def __call__(
        self, model: nn.Module, images: Tensor, labels: Tensor, *, generator: Any = None
    ) -> Any:
        return self.what(model, images, labels)


def render(result: AuditResult) -> str:
    return render_audit_page(result, title=None, created=datetime(2026, 1, 2, tzinfo=UTC))


def meddling(what: Callable[..., Any], **options: Any) -> BatteryEntry:
    return BatteryEntry("meddling", None, Meddling(eps=EPS, what=what), **options)


def test_the_worst_case_is_that_of_each_example(trained: nn.Module, few: Data) -> None:
    result = small_audit(trained, few)
    standing = result.clean_correct.clone()
    for outcome in result.outcomes:
        assert torch.equal(outcome.attacked, result.clean_correct)
        assert not (outcome.broken & ~outcome.attacked).any()
        point = outcome.accuracy(result.clean_correct)
        assert point is not None and result.worst_case.correct <= point.correct
        standing &= ~outcome.broken
    assert result.worst_case.correct == int(standing.sum()) < result.clean.correct
    assert result.clean.correct == int((predictions(trained, few[0]) == few[1]).sum())
    assert [outcome.family for outcome in result.outcomes] == [
        "query",
        "one-step",
        "white-box",
        "white-box",
    ]


def test_what_either_of_two_attacks_breaks_is_broken(trained: nn.Module, few: Data) -> None:
    def on_labels(rest: int) -> Callable[..., Tensor]:
        def attack(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            found = PGD(eps=0.3, steps=20)(model, images, labels)
            return torch.where((labels % 2 == rest).view(-1, 1, 1, 1), found, images)

        return attack

    even, odd = (
        BatteryEntry(str(rest), None, Meddling(eps=0, what=on_labels(rest))) for rest in (0, 1)
    )
    result = small_audit(trained, few, eps=0.3, attacks=[even, odd])
    first, second = result.outcomes
    assert first.broken.any() and second.broken.any() and not (first.broken & second.broken).any()
    assert torch.equal(result.broken, first.broken | second.broken)
    assert result.broken_by_none_but(first) == int(first.broken.sum())
    assert result.worst_case.correct == int((result.clean_correct & ~result.broken).sum())


def test_counts_are_exact_and_the_look_at_the_result_is_not_among_them(
    trained: nn.Module, few: Data
) -> None:
    result = small_audit(trained, few, attacks=[FGSM(eps=EPS), PGD(eps=EPS, steps=5)])
    right = result.clean.correct
    assert [(o.queries, o.gradients) for o in result.outcomes] == [
        (right, right),
        (5 * right, 5 * right),
    ]


def test_survivors_are_those_that_every_attack_before_has_failed_on(
    trained: nn.Module, few: Data
) -> None:
    last = BatteryEntry("last", "white-box", PGD(eps=EPS, steps=20), scope="survivors")
    some = BatteryEntry("some", "query", RandomNoise(eps=EPS), scope="survivors", limit=4)
    result = small_audit(trained, few, attacks=[*ATTACKS, last, some])
    before = small_audit(trained, few)
    assert torch.equal(result.outcomes[-2].attacked, before.clean_correct & ~before.broken)
    assert result.outcomes[-2].accuracy(result.clean_correct) is None
    assert int(result.outcomes[-1].attacked.sum()) == 4
    assert any(sentence.startswith("some: run on 4 of ") for sentence in result.untested)


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


def test_results_outside_the_ball_or_the_pixel_range_break_nothing(
    trained: nn.Module, few: Data
) -> None:
    for what in (
        lambda model, x, y: 1 - x,
        lambda model, x, y: x - EPS,
    ):
        (outcome,) = small_audit(trained, few, attacks=[meddling(what)]).outcomes
        assert outcome.broken.sum() == 0 and outcome.outside > 50
    result = small_audit(trained, few, attacks=[WhiteNoise(eps=EPS, samples=1)])
    (noise,), right = result.outcomes, result.clean.correct
    assert noise.outside == right
    assert f"white-noise: {right} of its {right} results left the ball" in " ".join(result.untested)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (lambda model, x, y: 1 / 0, "meddling: it raised ZeroDivisionError: division by zero"),
        (lambda model, x, y: None, "meddling: it returned NoneType, not a tensor"),
        (lambda model, x, y: x * torch.nan, "meddling: expected finite logits"),
        (lambda model, x, y: x[:-1], r"meddling: it returned torch.float32 of shape"),
    ],
)
def test_an_attack_that_fails_is_named_and_the_others_go_on(
    trained: nn.Module, few: Data, what: Callable[..., Any], reason: str
) -> None:
    result = small_audit(trained, few, attacks=[meddling(what), FGSM(eps=EPS)])
    assert [outcome.name for outcome in result.outcomes] == ["fgsm"]
    assert any(sentence.startswith(reason) for sentence in result.untested)


def test_attacks_leave_no_trace_on_the_model(trained: nn.Module, few: Data) -> None:
    def backward(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        images = images.clone().requires_grad_()
        model(images).sum().backward()
        torch.rand(3)
        return images.detach()

    # A copy: other tests may have left gradients on the shared one.
    state, model = torch.get_rng_state(), copy.deepcopy(trained)
    small_audit(model, few, attacks=[meddling(backward)])
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_memory_that_ends_halves_the_batches(trained: nn.Module, few: Data) -> None:
    def hungry(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        if len(images) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return images.clone()

    told: list[str] = []
    result = small_audit(
        trained, few, attacks=[meddling(hungry), FGSM(eps=EPS)], batch_size=64, notify=told.append
    )
    assert [outcome.batch_size for outcome in result.outcomes] == [16, 16]
    assert len(told) == 2 and "ran out of memory; trying 32 at a time" in told[0]


def test_a_random_model_gives_the_same_audit_twice(trained: nn.Module, few: Data) -> None:
    class Noisy(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images + 0.1 * torch.randn_like(images))

    first, second = (small_audit(Noisy(*trained), few) for _ in range(2))
    assert all(
        torch.equal(ours.broken, theirs.broken)
        for ours, theirs in zip(first.outcomes, second.outcomes, strict=True)
    )
    assert "randomness" in {problem.name for problem in first.fitness}


def test_transfer_asks_the_model_nothing(trained: nn.Module, few: Data) -> None:
    result = small_audit(trained, few, attacks=[FGSM(eps=EPS)], sources={"twin": trained})
    transfer = result.outcomes[0]
    assert (transfer.name, transfer.family) == ("transfer-twin-mim-10", "transfer")
    assert (transfer.queries, transfer.gradients) == (0, 0) and transfer.broken.any()
    assert transfer.attack["source"] == "twin" and transfer.attack["attack"]["name"] == "mim"


def test_a_source_of_the_same_weights_that_computes_otherwise_is_another(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    class Louder(nn.Sequential):
        factor = 1.0

        def forward(self, images: Tensor) -> Tensor:
            return self.factor * super().forward(images)

    digests = set()
    for factor in (1.0, 50.0):
        source = Louder(*trained).eval()
        source.factor = factor
        result = small_audit(
            trained, few, attacks=[FGSM(eps=EPS)], sources={"other": source}, out=tmp_path
        )
        digests.add(result.outcomes[0].attack["source_digest"])
    assert len(digests) == 2 and len(list((tmp_path / "attacks").glob("transfer-*"))) == 2


def test_an_unfit_model_is_refused_with_every_problem(trained: nn.Module, few: Data) -> None:
    soft = nn.Sequential(trained, nn.Softmax(dim=1))
    with pytest.raises(UnfitError, match=r"probabilities, not logits.*return what goes into"):
        small_audit(soft, (few[0], few[1]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"eps": 8.0}, HyperparameterError, r"eps in \[0, 1\], got 8.0"),
        ({"eps": 0.0}, HyperparameterError, "expected eps > 0 to audit at, got 0"),
        ({"norm": "l3"}, UnknownNameError, "'l3'"),
        ({"norm": "l2"}, HyperparameterError, "attacks in l2, got random-noise in linf"),
        ({"budget": "huge"}, UnknownNameError, "quick, standard, full, got 'huge'"),
        ({"attacks": ()}, HyperparameterError, "expected a budget or attacks, got neither"),
        ({"batch_size": 0}, HyperparameterError, "batch_size 'auto' or at least 1, got 0"),
        (
            {"attacks": [meddling(None), meddling(None)]},
            HyperparameterError,
            "two called meddling",
        ),
    ],
)
def test_bad_settings_end_in_one_sentence(
    trained: nn.Module, few: Data, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        small_audit(trained, few, **options)


def test_a_place_that_cannot_be_written_is_refused_before_any_attack(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        small_audit(trained, few, out=tmp_path / "file", attacks=[meddling(pytest.fail)])


def test_names_of_attacks_of_ones_own_are_told_apart(trained: nn.Module, few: Data) -> None:
    attacks = [PGD(eps=0), PGD(eps=0, loss="margin"), PGD(eps=0, steps=3)]
    result = small_audit(trained, few, attacks=attacks)
    assert [outcome.name for outcome in result.outcomes] == ["pgd-8", "pgd-8-2", "pgd-3"]
    assert all(outcome.eps == EPS and outcome.broken.any() for outcome in result.outcomes)


def test_a_model_that_is_never_right_leaves_nothing_to_attack(few: Data) -> None:
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(64, 11))
    nn.init.constant_(wrong[1].weight, 1e-9)
    wrong[1].bias.data = 5 * torch.eye(11)[10]
    with pytest.raises(UnfitError, match="below chance"):
        small_audit(wrong, few)
    one = (few[0][:1], few[1][:1])
    result = small_audit(wrong, one)
    assert result.outcomes == () and result.worst_case.correct == 0 and result.gallery is None
    assert "fgsm: no example remains to attack" in result.untested


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


def test_the_gallery_shows_what_broke_each_image(trained: nn.Module, few: Data) -> None:
    result = small_audit(trained, few)
    gallery, outcomes = result.gallery, {outcome.name: outcome for outcome in result.outcomes}
    assert gallery is not None
    assert (gallery.adversarial - gallery.clean).abs().max() <= EPS + 1e-6
    for row, attack, label, fooled in zip(
        gallery.rows, gallery.attacks, gallery.labels, gallery.adversarial_predictions, strict=True
    ):
        assert bool(outcomes[attack].broken[row]) == bool(fooled != label)
        assert bool(result.broken[row]) == bool(fooled != label)


@dataclass(frozen=True, kw_only=True)
class Refusing:
    """An attack that no model suits."""

    eps: float

    def __call__(self, *_: Any, **__: Any) -> Tensor:
        raise ModelError("expected another model")


def test_where_no_attack_could_run_there_is_no_verdict_and_no_number(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    for diagnostics in (True, False):
        result = small_audit(
            trained, few, attacks=[Refusing(eps=EPS)], diagnostics=diagnostics, out=tmp_path
        )
        assert result.outcomes == () and "refusing" in result.untested[0]
        assert result.verdict.level == "nothing tested" and not result.is_established
        assert read_audit(tmp_path).verdict == result.verdict
        assert "There is none: nothing was tested" in render(result)


def test_attacks_that_never_looked_at_the_model_certify_nothing(
    trained: nn.Module, few: Data
) -> None:
    noise = BatteryEntry("noise", "noise", RandomNoise(eps=EPS))
    result = small_audit(trained, few, attacks=[noise], diagnostics=True)
    assert result.verdict.level == "incomplete" and "noise" in result.verdict.summary
    result = small_audit(trained, few, attacks=[noise, FGSM(eps=EPS)], diagnostics=True)
    assert result.verdict.level == "no sign of masking"


def test_what_ends_an_audit_can_be_accepted_knowingly(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    images, labels = few[0], (few[1] + 1) % 10
    with pytest.raises(UnfitError, match="all the same, accept labels-do-not-match"):
        small_audit(trained, (images, labels))
    accept = ["labels-do-not-match", "probabilities"]
    result = small_audit(trained, (images, labels), accept=accept, out=tmp_path)
    assert result.accepted == ("labels-do-not-match",)
    assert read_audit(tmp_path).to_json() == result.to_json()
    assert "accepted these problems: <strong>labels-do-not-match</strong>" in render(result)
    with pytest.raises(UnfitError, match=r"pixels lie between") as refused:
        small_audit(trained, (images + 1, labels), accept=accept)
    assert "accept" not in str(refused.value)
    with pytest.raises(UnknownNameError, match="did you mean no-gradient"):
        small_audit(trained, few, accept=["no-gradiant"])


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda f, x: f(x).softmax(dim=1), "probabilities"),
        (lambda f, x: f(x / 255), "input-range"),
        (lambda f, x: f(x.detach()), "no-gradient"),
    ],
)
def test_every_problem_that_can_be_accepted_lets_the_audit_end(
    trained: nn.Module, few: Data, function: Callable[..., Tensor], name: str
) -> None:
    model = Wrapped(trained, function)
    result = small_audit(model, few, accept=[name])
    assert result.accepted == (name,) and result.outcomes


def test_a_constant_classifier_is_not_masked(few: Data) -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return 3 * torch.eye(10)[few[1][0]] + 0 * images.sum(dim=(1, 2, 3)).unsqueeze(1)

    result = small_audit(Constant(), few, diagnostics=True)
    assert result.verdict.level == "no sign of masking"
    assert result.verdict.causes == ("constant model",)
    assert result.worst_case.correct == result.clean.correct > 0
