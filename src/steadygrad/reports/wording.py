"""Numbers, attacks and ways of training in the words of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from steadygrad.attacks import (
    ATTACKS,
    NES,
    AboutAttack,
    IterativeFGSM,
    Mixture,
    MomentumIterative,
    about_attack,
)
from steadygrad.attacks.nes import REACH
from steadygrad.covariance import COVARIANCES, Exponential
from steadygrad.datasets import (
    AUGMENTATIONS,
    AugmentationStep,
    GaussianNoise,
    HorizontalFlip,
    RandomCrop,
    UniformNoise,
)
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.evaluation import AccuracyPoint
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
from steadygrad.training import TrainingConfig

__all__ = [
    "about_record",
    "adversarial_text",
    "attack_name",
    "attack_settings",
    "augmentation_text",
    "count_text",
    "disturbance_text",
    "enumeration",
    "eps_text",
    "interval_text",
    "is_plain",
    "large_number",
    "model_text",
    "penalty_text",
    "percent",
    "seconds_text",
    "sentence_text",
    "training_text",
]

_AIMS = {
    "random": ("targeted", "a class drawn at random"),
    "least-likely": ("least-likely-class", "the least likely class"),
    "all": ("all-targets", "every wrong class in turn"),
    "given": ("targeted", "a given class"),
}


def percent(fraction: float) -> str:
    """Return 0.983 as "98.3 %", with a space that does not break."""
    return f"{100 * fraction:.1f}\u00a0%"


def interval_text(point: AccuracyPoint) -> str:
    """Return a point's 95 % interval in percent, as "97.3–99.0"."""
    low, high = point.ci95
    return f"{100 * low:.1f}–{100 * high:.1f}"


def eps_text(eps: float) -> str:
    """Return a radius as people write it: "0.1", or "8/255" for one that is no short decimal."""
    if abs(eps * 1000 - round(eps * 1000)) < 1e-9:
        return f"{eps:g}"
    if abs(eps * 255 - round(eps * 255)) < 1e-6:
        return f"{round(eps * 255)}/255"
    return f"{eps:.4g}"


def large_number(value: float | None) -> str:
    """Return a count with a unit that keeps three digits: 39188 as "39.2 k"; None as a dash."""
    if value is None:
        return "–"
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}\u00a0{unit}"
    return f"{value:g}"


def seconds_text(seconds: float | None) -> str:
    """Return a duration for reading: "1.9 s", "3 min 20 s", "2.1 h"; None as a dash."""
    if seconds is None:
        return "–"
    if seconds < 100:
        digits = 0 if seconds >= 9.95 else 1 if seconds >= 0.995 else 2
        return f"{seconds:.{digits}f}\u00a0s"
    if seconds < 2 * 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}\u00a0min" + (f" {rest}\u00a0s" if minutes < 10 and rest else "")
    return f"{seconds / 3600:.1f}\u00a0h"


def count_text(count: int, noun: str, plural: str | None = None) -> str:
    """Return "1 image", "1,000 images"."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def enumeration(parts: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""


def sentence_text(text: str) -> str:
    """Return "two passes differ" as "Two passes differ."; a sentence stays as it is."""
    end = "" if text.endswith((".", "!", "?")) else "."
    return f"{text[:1].upper()}{text[1:]}{end}"


# Attacks, as evaluations record them: their name and settings.


def about_record(attack: Mapping[str, Any]) -> AboutAttack:
    """Return what the attack of a record says of itself; of one unknown here, its name alone."""
    kind = _kind(attack)
    if kind is None:
        return AboutAttack(title=str(attack["name"]), family="other")
    return about_attack(kind)


def _kind(attack: Mapping[str, Any]) -> type[Any] | None:
    try:
        return ATTACKS.get(str(attack["name"]))
    except (UnknownNameError, HyperparameterError):
        return None


def attack_name(attack: Mapping[str, Any]) -> str:
    """Return an attack's short name with the settings that set its strength."""
    return _attack_name(about_record(attack), attack)


def _attack_name(about: AboutAttack, settings: Mapping[str, Any]) -> str:
    short = about.title
    if about.family == "noise":
        short += _noise_settings(settings)
    elif isinstance(settings.get("queries"), int):
        short += f"({count_text(settings['queries'], 'query', 'queries')})"
    elif "steps" in settings:
        short += f"({settings['steps']})"
    if settings.get("norm") == "l2":
        short = f"L2 {short}"
    target = settings.get("target")
    if target is not None:
        short = f"{_AIMS.get(target, ('targeted',))[0]} {short}"
    if (loss := settings.get("loss", "cross-entropy")) != "cross-entropy":
        short += f", {_loss_text(loss)}"
    if isinstance(restarts := settings.get("restarts"), int) and restarts > 1:
        short += f", {restarts} restarts"
    return short


def _noise_settings(settings: Mapping[str, Any]) -> str:
    samples = settings.get("samples", 1)
    worst = "" if samples == 1 else f", worst of {samples}"
    if "distribution" in settings:
        return f" ({settings['distribution']}{worst})"
    if (covariance := settings.get("covariance")) is None:
        return worst
    if (function := _exponential(covariance)) is not None:
        return f" (decay length {_number(function.decay_length)}){worst}"
    return f" (covariance {_covariance(covariance)}){worst}"


def attack_settings(attack: Mapping[str, Any]) -> str:
    """Return every setting of an attack: "8 steps of 1.85 eps / 8, 1 random start, ..."."""
    rest = {key: value for key, value in attack.items() if key != "name"}
    parts = []
    if isinstance(steps := rest.get("steps"), int) and "step_size" in rest:
        del rest["steps"]
        length = _step_length(steps, rest.pop("step_size"), _reach(attack))
        rest.pop("reach", None)
        parts.append(f"{count_text(steps, 'step')} of {length}")
    if isinstance(starts := rest.get("restarts"), int) and "random_start" in rest:
        is_random = rest.pop("random_start")
        parts.append(
            count_text(starts, "random start") if is_random else "start at the image itself"
        )
        del rest["restarts"]
    if (covariance := rest.pop("covariance", None)) is not None:
        if rest.get("unit") == "pixel":  # that of eps everywhere else too
            del rest["unit"]
        parts.append(f"covariance {_function_text(covariance)}")
    if "target" in rest:
        target = rest.pop("target")
        towards = f"towards {_AIMS[target][1] if target in _AIMS else target}"
        parts.append("untargeted" if target is None else towards)
    if "start_from_prediction" in rest:
        is_predicted = rest.pop("start_from_prediction")
        parts.append("from the predicted label" if is_predicted else "from the true label")
    if isinstance(rest.get("loss"), str):
        parts.append(_loss_text(rest.pop("loss")))
    if isinstance(rest.get("norm"), str):
        parts.append(f"{_norm_text(rest.pop('norm'))} norm")
    for key, value in rest.items():
        shown = ("yes" if value else "no") if isinstance(value, bool) else value
        parts.append(f"{key.replace('_', ' ')} {shown}")
    return ", ".join(parts) or "no settings"


def _loss_text(loss: str) -> str:
    return "DLR loss" if loss == "dlr" else f"{loss} loss"


def _reach(attack: Mapping[str, Any]) -> float | None:
    """Return how many eps all steps together may lead; None where nothing says so."""
    kind = _kind(attack)
    if kind is NES:
        return REACH
    own = 1.0 if kind in (IterativeFGSM, MomentumIterative) else getattr(kind, "reach", None)
    reach: float | None = attack.get("reach", own)
    return reach


def _step_length(steps: int, size: float | None, reach: float | None) -> str:
    if size is not None:
        return eps_text(float(size))
    if reach is None:
        return "a length of its own choice"
    return f"{'eps' if reach == 1 else f'{_number(reach)} eps'} / {steps}"


def _norm_text(norm: str) -> str:
    """Return "linf" and "Linf" as "L∞", "l2" as "L2"."""
    return "L∞" if norm.lower() == "linf" else norm[:1].upper() + norm[1:]


def disturbance_text(attack: Mapping[str, Any]) -> str:
    """Say what was done to the images, and what eps means in it."""
    about = about_record(attack)
    if about.is_gaussian:
        return "Gaussian noise of standard deviation eps"
    what = "noise" if about.family == "noise" else "an attack"
    if not about.stays_in_ball:
        return f"{what} of size eps that may change images by more"
    if attack.get("norm") == "l2":
        return f"{what} that may change every image by at most eps in L2, the length of its change"
    return f"{what} that may change every pixel by at most eps"


def _covariance(record: str | Mapping[str, Any]) -> str:
    """Say which covariance a record or a part's table names; early records hold the sentence."""
    if isinstance(record, str):
        return record
    if "dataset" in record:
        return f"of {record['n']} training images of {record['dataset']}"
    if "digest" in record:
        return f"{record['file']}, digest {str(record['digest'])[:8]}"
    return str(record.get("path", record["name"]))


def _function_text(record: str | Mapping[str, Any]) -> str:
    function = _exponential(record)
    if function is None:
        return _covariance(record)
    length, between = _number(function.decay_length), _number(function.inter_channel)
    return f"exp(-r / {length}), {between} of it between channels"


def _exponential(record: str | Mapping[str, Any]) -> Exponential | None:
    """Return the function of the distance that a text or a table describes; None for others."""
    if isinstance(record, Mapping):
        is_one = record.get("name") == COVARIANCES.name_of(Exponential)
    else:
        is_one = COVARIANCES.name_of(Exponential) == record.partition(":")[0]
    return COVARIANCES.of(record) if is_one else None


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


# Training.


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
        return f"squared {_norm_text(_title(NORMS, getattr(penalty, 'norm', L2())))}"
    nested = [
        f"{_covariance(s.family.table(part))} {s.family.kind}"
        for s in part_fields(penalty)
        if s.family not in (None, BACKENDS) and (part := getattr(penalty, s.key)) is not None
    ]
    if isinstance(ball := getattr(penalty, "ball", None), str):
        nested.append(f"{_norm_text(ball)} ball")
    return _inside(_title(PENALTIES, penalty)) + (f" ({', '.join(nested)})" if nested else "")


def _penalty_settings(config: TrainingConfig) -> list[str]:
    penalty, texts = config.penalty, []
    key = getattr(PENALTIES.about(penalty), "size", "strength")
    if (size := getattr(penalty, key, None)) is not None:
        texts.append(f"{key} {eps_text(size) if key == 'eps' else _number(size)}")
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
    texts = [_attack_name(about, ATTACKS.table(attack))]
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
        case GaussianNoise(std=scale):
            return f"gaussian noise {eps_text(scale)}"
        case UniformNoise(half_width=scale):
            return f"uniform noise {eps_text(scale)}"
        case _:
            return AUGMENTATIONS.text(step)


def _disturbing(config: TrainingConfig) -> list[AugmentationStep]:
    """Return the steps after which an image is no longer one that a camera could have taken."""
    return [
        step for step in config.augmentation if not isinstance(step, HorizontalFlip | RandomCrop)
    ]


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
