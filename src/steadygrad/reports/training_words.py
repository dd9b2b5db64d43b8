"""Ways of training in the words of a report."""

from dataclasses import replace
from typing import Any

from steadygrad.attacks import ATTACKS, Mixture, about_attack
from steadygrad.datasets import (
    AUGMENTATIONS,
    NATURAL,
    AugmentationStep,
    ElasticDeformation,
    GaussianNoise,
    HorizontalFlip,
    RandomCrop,
    Rotation,
    UniformNoise,
)
from steadygrad.models import MODELS
from steadygrad.parts import part_fields
from steadygrad.penalties import (
    BACKENDS,
    L2,
    LOSSES,
    NORMS,
    PENALTIES,
    CrossEntropy,
    DoubleBackprop,
    GradientNormPenalty,
    SquaredNormPenalty,
)
from steadygrad.reports.wording import (
    covariance_text,
    eps_text,
    named_attack,
    norm_text,
    short_number,
)
from steadygrad.training import TrainingConfig

__all__ = [
    "adversarial_text",
    "augmentation_text",
    "is_plain",
    "model_text",
    "penalty_text",
    "training_text",
]


def model_text(config: TrainingConfig) -> str:
    """Return the network in text; how it differentiates twice is told with the penalty."""
    model: Any = config.model
    if getattr(model, "second_order", "exact") != "exact":
        model = replace(model, second_order="exact")
    return MODELS.text(model)


def penalty_text(config: TrainingConfig) -> str:
    """Return the penalty on the input gradient with its strength, or "none"."""
    if config.penalty is None:
        return "none"
    return ", ".join((_penalty_name(config.penalty), *_penalty_settings(config)))


def _penalty_name(penalty: Any) -> str:
    if isinstance(penalty, SquaredNormPenalty | GradientNormPenalty):
        return f"squared {norm_text(_title(NORMS, getattr(penalty, 'norm', L2())))}"
    nested = [
        f"{covariance_text(s.family.table(part))} {s.family.kind}"
        for s in part_fields(penalty)
        if s.family not in (None, BACKENDS) and (part := getattr(penalty, s.key)) is not None
    ]
    if isinstance(ball := getattr(penalty, "ball", None), str):
        nested.append(f"{norm_text(ball)} ball")
    return _inside(_title(PENALTIES, penalty)) + (f" ({', '.join(nested)})" if nested else "")


def _penalty_settings(config: TrainingConfig) -> list[str]:
    penalty, texts = config.penalty, []
    key = getattr(PENALTIES.about(penalty), "size", "strength")
    if (size := getattr(penalty, key, None)) is not None:
        texts.append(f"{key} {eps_text(size) if key == 'eps' else short_number(size)}")
    if getattr(config.model, "second_order", "exact") == "frozen_phase":
        texts.append("frozen phase")
    backend = getattr(penalty, "backend", None)
    if backend is not None and not isinstance(backend, DoubleBackprop):
        texts.append(_inside(_title(BACKENDS, backend)))
    return texts + _share(getattr(penalty, "fraction", 1.0))


def _share(fraction: float) -> list[str]:
    return [] if fraction == 1 else [f"on {100 * fraction:.3g}\u00a0% of each batch"]


def _title(family: Any, part: Any) -> str:
    """Return a part's name for people."""
    about = family.about(part)
    title = about if isinstance(about, str) else getattr(about, "title", None)
    return str(title or family.name_of(part) or type(part).__name__)


def _inside(title: str) -> str:
    """Return a title as it reads within a sentence: "Finite difference" small, "SGR" as it is."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def adversarial_text(config: TrainingConfig) -> str:
    """Return what the run was attacked with while it trained, or "none"."""
    attack: Any = config.attack
    if attack is None:
        return "none"
    fraction = 1.0
    if isinstance(attack, Mixture):
        attack, fraction = attack.attack, attack.fraction
    about = about_attack(attack)
    texts = [named_attack(about, ATTACKS.table(attack))]
    if about.has_eps:
        means = "standard deviation" if about.is_gaussian else "eps"
        texts.append(f"{means} {eps_text(attack.eps)}")
    return ", ".join(texts + _share(fraction))


def augmentation_text(config: TrainingConfig) -> str:
    """Return how training images were varied, or "none"."""
    return ", ".join(map(_step_text, config.augmentation)) or "none"


def _step_text(step: AugmentationStep) -> str:
    match step:
        case HorizontalFlip():
            return "flips"
        case RandomCrop(padding=padding):
            return f"crops (padding {padding})"
        case Rotation(degrees=degrees):
            return f"rotations up to {degrees:g} degrees"
        case ElasticDeformation(size=size):
            return f"elastic deformations by {size:g} pixels"
        case GaussianNoise(std=scale):
            return f"gaussian noise {eps_text(scale)}"
        case UniformNoise(half_width=scale):
            return f"uniform noise {eps_text(scale)}"
        case _:
            return AUGMENTATIONS.text(step)


def _disturbing(config: TrainingConfig) -> list[AugmentationStep]:
    """Return the steps after which an image is no longer one that a camera could have taken."""
    return [step for step in config.augmentation if AUGMENTATIONS.about(step) != NATURAL]


def is_plain(config: TrainingConfig) -> bool:
    """Say whether a run trained on nothing but cross-entropy of undisturbed images."""
    key = getattr(PENALTIES.about(config.penalty), "size", "strength")
    has_penalty = config.penalty is not None and getattr(config.penalty, key, 1) != 0
    is_disturbed = config.attack is not None or bool(_disturbing(config))
    return not (has_penalty or is_disturbed or config.loss != CrossEntropy())


def training_text(config: TrainingConfig) -> str:
    """Return in one phrase what sets a run's training apart: loss, penalty, attacks, noise."""
    parts = []
    if config.loss != CrossEntropy():
        parts.append(f"loss {LOSSES.text(config.loss)}")
    if config.penalty is not None:
        name = f"{_penalty_name(config.penalty)} penalty"
        parts.append(", ".join((name, *_penalty_settings(config))))
    if config.attack is not None:
        parts.append(f"trained on {adversarial_text(config)}")
    parts += map(_step_text, _disturbing(config))
    return "; ".join(parts) or "plain"
