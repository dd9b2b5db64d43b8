"""A recipe fills in what is not given, in terms of the radius alone."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from steadygrad.datasets import HorizontalFlip, RandomCrop, UniformNoise
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.hardening import harden
from steadygrad.penalties import SquaredNormPenalty
from steadygrad.training import RECIPES, SGD, TrainingConfig, WideNoise, with_recipe


def test_text_table_and_object_say_the_same() -> None:
    part = WideNoise(eps=0.2)
    assert RECIPES.parse("wide-noise:0.2") == part
    assert RECIPES.of({"name": "wide-noise", "eps": 0.2}) == part
    assert RECIPES.text(part) == "wide-noise:0.2"


def test_the_penalty_is_the_first_order_growth_squared() -> None:
    """Of a linear loss with slopes g it is 3 (eps |g|_1)^2, however many pixels there are."""
    penalty = WideNoise(eps=0.1).settings()["penalty"]
    weight = torch.tensor([[0.5, -1.0, 2.0, 0.25]], dtype=torch.float64)

    def loss(logits: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return logits[:, 0]

    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1, bias=False)).double()
    with torch.no_grad():
        model[1].weight.copy_(weight)
    images = torch.rand(3, 1, 2, 2, dtype=torch.float64)
    found = penalty(model, images, torch.zeros(3, dtype=torch.int64), loss=loss)
    expected = 3 * (0.1 * float(weight.abs().sum())) ** 2
    torch.testing.assert_close(found.penalty.detach(), torch.tensor(expected).double())


def test_what_is_given_wins_and_the_noise_comes_last() -> None:
    given = {"data": "digits", "model": "digits-gelu", "augmentation": ["crop:1"], "clipping": None}
    config = TrainingConfig.from_dict(with_recipe("wide-noise:0.2", given))
    assert config.augmentation == (RandomCrop(1), UniformNoise(0.3))
    assert config.clipping is None
    assert config.penalty == SquaredNormPenalty(strength=0.12)
    assert config.averaging is not None
    assert config.optimizer == replace(SGD(learning_rate=0.02), nesterov=True)
    own = SquaredNormPenalty(strength=0.5)
    kept = TrainingConfig.from_dict(with_recipe("wide-noise:0.2", given | {"penalty": own}))
    assert kept.penalty == own


def test_a_recipe_takes_the_place_of_what_it_is_laid_over() -> None:
    base = {"optimizer": "adam", "epochs": 3, "augmentation": ["flip", "uniform:0.1", "gaussian:1"]}
    laid = with_recipe("wide-noise:0.1", {"clipping": None}, base=base)
    assert laid["optimizer"] == SGD(learning_rate=0.02)
    assert laid["epochs"] == 3 and laid["clipping"] is None
    assert laid["augmentation"] == (HorizontalFlip(), UniformNoise(0.15))
    silent = with_recipe("wide-noise:0.1,width=0", {}, base=base)
    assert silent["augmentation"] == (HorizontalFlip(),)
    given = with_recipe("wide-noise:0.1", {"augmentation": ["crop:1"]}, base=base)
    assert given["augmentation"] == (RandomCrop(1), UniformNoise(0.15))


def test_a_recipe_that_says_nothing_of_noise_keeps_that_of_its_base() -> None:
    class Rate:
        def settings(self) -> dict[str, Any]:
            return {"optimizer": "adam"}

    kept = with_recipe(Rate(), {}, base={"augmentation": "flip+uniform:0.1"})
    assert kept["augmentation"] == (HorizontalFlip(), UniformNoise(0.1))


def test_an_augmentation_that_is_no_list_is_refused() -> None:
    with pytest.raises(
        HyperparameterError, match="expected augmentation as a list of parts, got 5"
    ):
        with_recipe("wide-noise:0.1", {}, base={"augmentation": 5})


def test_augmentation_may_be_text() -> None:
    assert with_recipe("wide-noise:0.1", {"augmentation": "none"})["augmentation"] == (
        UniformNoise(0.15),
    )
    assert len(with_recipe("wide-noise:0.1", {"augmentation": "flip+crop:1"})["augmentation"]) == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("wide-noise:0", "expected eps > 0"),
        ("wide-noise:1.5", "eps"),
        ("wide-noise:0.1,width=-1", "width >= 0"),
        ("wide-noise:0.1,weight=0", "weight > 0"),
        ("wide-noise:0.1,learning_rate=0", "learning_rate > 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(HyperparameterError, match=sentence):
        RECIPES.parse(text)


def test_a_misspelt_recipe_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="wide-noise"):
        with_recipe("wide-nois:0.1", {})


def test_hardening_takes_penalty_and_noise_from_a_recipe(tmp_path) -> None:
    from steadygrad.models import build_model
    from steadygrad.training import run_config

    harden(
        build_model("digits-gelu"),
        "digits",
        eps=0.1,
        recipe="wide-noise",
        epochs=1,
        limit_train=64,
        audited=False,
        report_images=16,
        out=tmp_path / "hardened",
    )
    config = run_config(tmp_path / "hardened" / "run")
    assert config.augmentation == (UniformNoise(0.15),)
    assert isinstance(config.penalty, SquaredNormPenalty)
    assert config.penalty.strength == 0.03
    with pytest.raises(HyperparameterError, match="linf"):
        harden(build_model("digits-gelu"), "digits", eps=0.1, norm="l2", recipe="wide-noise")
