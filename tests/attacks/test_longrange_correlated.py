"""LRC and white noise: what is added, how it scales, and that the worst of N draws counts."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from conv_network import conv_network
from steadygrad.attacks.base import with_eps
from steadygrad.attacks.longrange_correlated import LongRangeCorrelated, WhiteNoise
from steadygrad.covariance import (
    CovarianceFile,
    Exponential,
    ExponentialCovariance,
    IdentityCovariance,
    RunningCovariance,
    choices,
    estimate_covariance,
    save_covariance,
)
from steadygrad.errors import (
    HyperparameterError,
    ImageError,
    LabelError,
    ModelError,
    ShapeError,
    UnknownNameError,
)

SHAPE = (2, 6, 5)
GREY = torch.full((4, *SHAPE), 0.5, dtype=torch.float64)
LABELS = torch.zeros(4, dtype=torch.int64)
NOISES = [
    LongRangeCorrelated(eps=0.1, covariance=Exponential(3.0), samples=20),
    LongRangeCorrelated(eps=0.1, samples=1),
    LongRangeCorrelated(eps=0.1, samples=5, covariance=ExponentialCovariance(SHAPE, 1.0)),
    WhiteNoise(eps=0.1, samples=20),
]
each_noise = pytest.mark.parametrize("attack", NOISES, ids=repr)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 6) -> tuple[Tensor, Tensor]:
    return torch.rand(n, *SHAPE, generator=seeded(1)), torch.arange(n) % 3


def network() -> nn.Sequential:
    return conv_network(SHAPE, classes=3).eval()


class Brightness(nn.Module):
    """Class 1 where the mean pixel is above a threshold; logits grow with the brightness."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        margin = images.flatten(start_dim=1).mean(dim=1) - self.threshold
        return torch.stack((-margin, margin), dim=1)


def test_a_single_draw_is_eps_times_a_sample_of_the_covariance() -> None:
    attack = LongRangeCorrelated(eps=0.05, covariance=Exponential(3.0, 0.2), samples=1)
    noisy = attack(network(), GREY, LABELS, generator=seeded())
    covariance = ExponentialCovariance(SHAPE, 3.0, inter_channel=0.2)
    expected = 0.5 + 0.05 * covariance.sample(4, seeded(), dtype=torch.float64)
    torch.testing.assert_close(noisy, expected)


@each_noise
def test_eps_scales_the_noise(attack: Any) -> None:
    # A model that is always right keeps the draw of highest loss, the same at every small eps.
    model = Brightness(threshold=9.0)
    noises = [
        (with_eps(attack, eps)(model, GREY, LABELS, generator=seeded()) - 0.5) / eps
        for eps in (0.001, 0.01)
    ]
    torch.testing.assert_close(*noises)


def test_noise_is_clipped_to_the_pixel_range() -> None:
    for attack in (LongRangeCorrelated(eps=1.0, samples=1), WhiteNoise(eps=1.0, samples=1)):
        noisy = attack(network(), GREY, LABELS, generator=seeded())
        assert noisy.min() == 0 and noisy.max() == 1


@pytest.mark.parametrize("samples", [2, 7, 50])
def test_an_image_stands_only_if_every_draw_is_classified_right(samples: int) -> None:
    images, labels = 0.4 + 0.2 * torch.rand(30, *SHAPE, generator=seeded(1)), torch.zeros(30).long()
    model = Brightness(threshold=0.55)
    attack = LongRangeCorrelated(eps=0.05, covariance=Exponential(4.0), samples=samples)
    broken = model(attack(model, images, labels, generator=seeded())).argmax(dim=1) != labels

    # All draws of all images, and nothing clever.
    generator, covariance = seeded(), ExponentialCovariance(SHAPE, 4.0)
    draws = torch.stack([covariance.sample(30, generator) for _ in range(samples)])
    means = (images + 0.05 * draws).clamp(0, 1).mean(dim=(2, 3, 4))
    torch.testing.assert_close(broken, (means > 0.55).any(dim=0))
    assert 0 < broken.sum() < 30


def test_the_first_misclassified_draw_is_kept_else_the_one_of_highest_loss() -> None:
    attack = LongRangeCorrelated(eps=0.05, covariance=Exponential(4.0), samples=20)
    covariance, generator = ExponentialCovariance(SHAPE, 4.0), seeded()
    draws = [0.5 + 0.05 * covariance.sample(4, generator, dtype=GREY.dtype) for _ in range(20)]
    means = torch.stack(draws).mean(dim=(2, 3, 4))

    never = attack(Brightness(threshold=9.0), GREY, LABELS, generator=seeded())
    torch.testing.assert_close(never.mean(dim=(1, 2, 3)), means.max(dim=0).values)
    sometimes = attack(Brightness(threshold=0.51), GREY, LABELS, generator=seeded())
    for image in range(4):
        first = (means[:, image] > 0.51).nonzero()[0].item()
        torch.testing.assert_close(sometimes[image], draws[int(first)][image])


def test_what_is_broken_is_not_asked_again_and_a_pass_holds_one_batch() -> None:
    images, labels = 0.4 + 0.2 * torch.rand(30, *SHAPE, generator=seeded(1)), torch.zeros(30).long()
    model = Brightness(threshold=0.55)
    LongRangeCorrelated(eps=0.05, samples=30)(model, images, labels, generator=seeded())
    assert model.seen[0] == 30
    assert model.seen == sorted(model.seen, reverse=True)
    assert model.seen[-1] < 30
    single = Brightness(threshold=0.55)
    LongRangeCorrelated(eps=0.05, samples=1)(single, images, labels, generator=seeded())
    assert single.seen == []


def test_long_ranges_disturb_what_white_noise_averages_out() -> None:
    images, labels = torch.full((200, *SHAPE), 0.5), torch.zeros(200).long()
    model = Brightness(threshold=0.54)
    broken = []
    for attack in (
        WhiteNoise(eps=0.05, samples=1),
        LongRangeCorrelated(eps=0.05, covariance=Exponential(1.0), samples=1),
        LongRangeCorrelated(eps=0.05, covariance=Exponential(16.0), samples=1),
    ):
        noisy = attack(model, images, labels, generator=seeded())
        broken.append((model(noisy).argmax(dim=1) == 1).float().mean().item())
    assert broken[0] == 0
    assert broken[0] < broken[1] < broken[2]


def test_white_noise_is_the_identity_covariance() -> None:
    images, labels = batch()
    white = WhiteNoise(eps=0.2, samples=9)(network(), images, labels, generator=seeded())
    identity = LongRangeCorrelated(
        eps=0.2, samples=9, covariance=IdentityCovariance(SHAPE, variance=4.0)
    )
    assert torch.equal(white, identity(network(), images, labels, generator=seeded()))


def test_a_running_covariance_is_taken_as_it_is_now() -> None:
    running = RunningCovariance("stationary")
    running.update(torch.randn(5, *SHAPE, generator=seeded()))
    attack = LongRangeCorrelated(eps=0.1, samples=1, covariance=running.current)
    before = attack(network(), GREY, LABELS, generator=seeded())
    running.update(torch.randn(5, *SHAPE, generator=seeded(1)))
    assert torch.equal(attack(network(), GREY, LABELS, generator=seeded()), before)


@each_noise
def test_same_generator_same_result_and_the_global_one_is_left_alone(attack: Any) -> None:
    images, labels = batch()
    state = torch.get_rng_state()
    first = attack(network(), images, labels, generator=seeded(3))
    assert torch.equal(first, attack(network(), images, labels, generator=seeded(3)))
    assert not torch.equal(first, attack(network(), images, labels, generator=seeded(4)))
    assert torch.equal(torch.get_rng_state(), state)


@each_noise
def test_leaves_no_trace_on_model_or_inputs(attack: Any) -> None:
    model, (images, labels) = network(), batch()
    model[1].train()
    statistics = model[1].running_mean.clone() if attack.samples == 1 else None
    modes = [module.training for module in model.modules()]
    before = images.clone()
    noisy = attack(model, images, labels, generator=seeded())
    assert torch.equal(images, before)
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not noisy.requires_grad
    if statistics is not None:
        assert torch.equal(model[1].running_mean, statistics)


@each_noise
def test_what_an_example_gets_does_not_depend_on_the_labels_of_others(attack: Any) -> None:
    model, (images, labels) = network(), batch()
    others = (labels + 1) % 3
    others[2] = labels[2]
    first = attack(model, images, labels, generator=seeded())
    second = attack(model, images, others, generator=seeded())
    assert torch.equal(first[2], second[2])


@each_noise
def test_eps_zero_returns_a_copy(attack: Any) -> None:
    images, labels = batch()
    noisy = with_eps(attack, 0.0)(network(), images, labels, generator=seeded())
    assert torch.equal(noisy, images)
    assert noisy.data_ptr() != images.data_ptr()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": -0.1}, r"eps in \[0, 1\]"),
        ({"eps": 8}, "8/255"),
        ({"eps": math.nan}, "eps"),
        ({"eps": 0.1, "covariance": "exponential:0"}, "decay_length > 0"),
        ({"eps": 0.1, "covariance": "exponential:inter_channel=1.5"}, "inter_channel"),
        ({"eps": 0.1, "covariance": None}, "expected a covariance, got none"),
        ({"eps": 0.1, "samples": 0}, "samples >= 1"),
    ],
)
def test_settings_outside_their_range_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        LongRangeCorrelated(**settings)
    if settings.keys() <= {"eps", "samples"}:
        with pytest.raises(HyperparameterError, match=message):
            WhiteNoise(**settings)


@each_noise
def test_bad_input_is_refused(attack: Any) -> None:
    images, labels = batch()
    with pytest.raises(ImageError):
        attack(network(), images * 255, labels)
    with pytest.raises(LabelError):
        attack(network(), images, labels.float())
    if attack.samples > 1:
        with pytest.raises(ModelError, match="finite logits"):
            attack(lambda x: torch.full((len(x), 3), math.nan), images, labels)


def test_images_of_another_size_than_the_covariance_are_refused() -> None:
    covariance = estimate_covariance(torch.randn(5, 1, 4, 4, generator=seeded()))
    images, labels = batch()
    with pytest.raises(ShapeError, match=r"\(batch, 1, 4, 4\)"):
        LongRangeCorrelated(eps=0.1, covariance=covariance)(network(), images, labels)


def test_a_covariance_file_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "noise.safetensors"
    attack = LongRangeCorrelated(eps=0.1, samples=1, covariance=CovarianceFile(path))
    for length in (1.0, 4.0):
        covariance = ExponentialCovariance(SHAPE, length)
        save_covariance(path, covariance)
        found = attack(network(), GREY, LABELS, generator=seeded())
        held = LongRangeCorrelated(eps=0.1, samples=1, covariance=covariance)
        assert torch.equal(found, held(network(), GREY, LABELS, generator=seeded()))


def test_a_covariance_file_is_hashed_once_for_all_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, hashed, read = tmp_path / "noise.safetensors", list[Path](), choices._read_digest
    monkeypatch.setattr(choices, "_read_digest", lambda path: hashed.append(path) or read(path))
    monkeypatch.setattr(choices, "_FRESH_SECONDS", -1.0)  # as if it were written long ago
    attack = LongRangeCorrelated(eps=0.1, samples=1, covariance=CovarianceFile(path))
    for written in (1, 2):
        save_covariance(path, ExponentialCovariance(SHAPE, float(written)))
        for _ in range(3):
            attack(network(), GREY, LABELS)
        assert hashed == [path] * written


def test_noise_in_units_of_the_image_follows_its_contrast() -> None:
    images = 0.5 + torch.tensor([0.1, 0.4]).view(-1, 1, 1, 1) * (batch(2)[0] - 0.5)
    attack = LongRangeCorrelated(eps=0.1, covariance=Exponential(3.0), samples=1, unit="image")
    there = attack(network(), images, LABELS[:2], generator=seeded()) - images
    plain = LongRangeCorrelated(eps=0.1, covariance=Exponential(3.0), samples=1)
    as_pixels = plain(network(), torch.full_like(images, 0.5), LABELS[:2], generator=seeded()) - 0.5
    spread = images.flatten(1).std(dim=1, correction=0).view(-1, 1, 1, 1)
    torch.testing.assert_close(there, spread * as_pixels, rtol=0, atol=1e-6)


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="expected unit one of pixel, image, got 'std'"):
        LongRangeCorrelated(eps=0.1, unit="std")  # type: ignore[arg-type]
