"""Numbers, attacks and ways of training in the words of a report."""

from collections.abc import Mapping, Sequence
from typing import Any

from steadygrad.evaluation import AccuracyPoint

__all__ = [
    "GAUSSIAN",
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
    "penalty_text",
    "percent",
    "seconds_text",
    "sentence_text",
    "training_text",
]

GAUSSIAN = frozenset({"lrc", "white-noise"})
"""Noise whose eps is a standard deviation: pixels may change by more."""

_NORMS = {"gn": "L2", "l1": "L1", "l2": "L2", "linf": "L∞"}
_METHODS = {
    "fgsm": "FGSM",
    "i-fgsm": "I-FGSM",
    "pgd": "PGD",
    "mim": "MIM",
    "autoattack": "AutoAttack",
    "carlini-wagner": "Carlini-Wagner",
}
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


def attack_name(attack: Mapping[str, Any]) -> str:
    """Return an attack's short name with the settings that set its strength."""
    name, settings = str(attack["name"]), dict(attack)
    if name == "random-noise":
        samples = settings.get("samples", 1)
        worst = "" if samples == 1 else f", worst of {samples}"
        return f"random noise ({settings.get('distribution', 'uniform')}{worst})"
    if name in GAUSSIAN:
        return _gaussian_noise(settings)
    short = name
    if name == "nes":
        short = f"NES({count_text(settings['queries'], 'query', 'queries')})"
    elif name in _METHODS:
        short = _METHODS[name] + (f"({settings['steps']})" if "steps" in settings else "")
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


def attack_settings(attack: Mapping[str, Any]) -> str:
    """Return every setting of an attack: "8 steps of 1.85 eps / 8, 1 random start, ..."."""
    rest = {key: value for key, value in attack.items() if key != "name"}
    parts = []
    if isinstance(steps := rest.get("steps"), int) and "step_size" in rest:
        size = rest.pop("step_size")
        reach = rest.pop("reach", 1.85 if attack["name"] == "nes" else 1)
        in_all = "eps" if reach == 1 else f"{_number(reach)} eps"
        length = f"{in_all} / {steps}" if size is None else eps_text(float(size))
        parts.append(f"{count_text(rest.pop('steps'), 'step')} of {length}")
    if isinstance(starts := rest.get("restarts"), int) and "random_start" in rest:
        is_random = rest.pop("random_start")
        parts.append(
            count_text(starts, "random start") if is_random else "start at the image itself"
        )
        del rest["restarts"]
    if "decay_length" in rest:
        length, between = rest.pop("decay_length"), rest.pop("inter_channel", 0.5)
        covariance = rest.pop("covariance", None)
        function = f"exp(-r / {_number(length)}), {_number(between)} of it between channels"
        parts.append(f"covariance {function if covariance is None else _covariance(covariance)}")
    if "target" in rest:
        target = rest.pop("target")
        towards = f"towards {_AIMS[target][1] if target in _AIMS else target}"
        parts.append("untargeted" if target is None else towards)
    if "start_from_prediction" in rest:
        is_predicted = rest.pop("start_from_prediction")
        parts.append("from the predicted label" if is_predicted else "from the true label")
    if isinstance(rest.get("loss"), str):
        parts.append(_loss_text(rest.pop("loss")))
    if rest.get("norm") in _NORMS:
        parts.append(f"{_NORMS[rest.pop('norm')]} norm")
    for key, value in rest.items():
        shown = ("yes" if value else "no") if isinstance(value, bool) else value
        parts.append(f"{key.replace('_', ' ')} {shown}")
    return ", ".join(parts) or "no settings"


def _loss_text(loss: str) -> str:
    return "DLR loss" if loss == "dlr" else f"{loss} loss"


def penalty_text(config: Mapping[str, Any]) -> str:
    """Return the penalty on the input gradient with its strength, or "none"."""
    penalty = str(config.get("penalty", "none"))
    if penalty == "none":
        return "none"
    name = f"squared {_NORMS[penalty]}" if penalty in _NORMS else penalty
    if penalty == "sgr":
        name = f"SGR ({config.get('covariance', '?')} covariance)"
    text = f"{name}, strength {_number(config.get('strength', 0.0))}"
    if config.get("second_order") == "frozen_phase":
        text += ", frozen phase"
    backend = config.get("backend", "double_backprop")
    return text if backend == "double_backprop" else f"{text}, {str(backend).replace('_', ' ')}"


def adversarial_text(config: Mapping[str, Any]) -> str:
    """Return what the run was attacked with while it trained, or "none"."""
    attack = str(config.get("adversarial", "none"))
    if attack == "none":
        return "none"
    eps = eps_text(float(config.get("adversarial_eps", 0.0)))
    if attack in GAUSSIAN:
        text = f"{_noise_text(attack, config)}, standard deviation {eps}"
    else:
        steps = f"({config.get('adversarial_steps', '?')})" if attack == "pgd" else ""
        text = f"{attack.upper()}{steps}, eps {eps}"
    fraction = float(config.get("adversarial_fraction", 1.0))
    return text if fraction == 1 else f"{text}, on {100 * fraction:.3g}\u00a0% of each batch"


def _noise_text(attack: str, config: Mapping[str, Any]) -> str:
    if attack == "white-noise":
        return "white noise"
    covariance = str(config.get("adversarial_covariance", "exponential"))
    if covariance == "exponential":
        return f"LRC noise (decay length {config.get('adversarial_decay_length', '?')})"
    return f"LRC noise (covariance {covariance})"


def augmentation_text(config: Mapping[str, Any]) -> str:
    """Return how training images were varied, or "none"."""
    parts = []
    if config.get("flip"):
        parts.append("flips")
    if padding := config.get("crop_padding"):
        parts.append(f"crops (padding {padding})")
    if (noise := str(config.get("noise", "none"))) != "none":
        kind, _, scale = noise.partition(":")
        parts.append(f"{kind} noise {scale}".strip())
    return ", ".join(parts) or "none"


def is_plain(config: Mapping[str, Any]) -> bool:
    """Say whether a run trained on nothing but cross-entropy of undisturbed images."""
    has_penalty = config.get("penalty", "none") != "none" and config.get("strength", 0) > 0
    is_attacked = config.get("adversarial", "none") != "none"
    return not (has_penalty or is_attacked or config.get("noise", "none") != "none")


def training_text(config: Mapping[str, Any]) -> str:
    """Return in one phrase what sets a run's training apart: penalty, attacks, noise."""
    parts = []
    if (penalty := penalty_text(config)) != "none":
        parts.append(penalty.replace(",", " penalty,", 1))
    if (attack := adversarial_text(config)) != "none":
        parts.append(f"trained on {attack}")
    if (noise := str(config.get("noise", "none"))) != "none":
        kind, _, scale = noise.partition(":")
        parts.append(f"{kind} noise {scale}".strip())
    return "; ".join(parts) or "plain"


def disturbance_text(attack: Mapping[str, Any]) -> str:
    """Say what was done to the images, and what eps means in it."""
    if attack["name"] in GAUSSIAN:
        return "Gaussian noise of standard deviation eps"
    what = "noise" if attack["name"] == "random-noise" else "an attack"
    if attack.get("norm") == "l2":
        return f"{what} that may change every image by at most eps in L2, the length of its change"
    return f"{what} that may change every pixel by at most eps"


def _covariance(record: str | Mapping[str, Any]) -> str:
    """Say which covariance an evaluation's record names; earlier records hold the sentence."""
    if isinstance(record, str):
        return record
    if "dataset" in record:
        return f"of {record['n']} training images of {record['dataset']}"
    return f"{record['file']}, digest {str(record['digest'])[:8]}"


def _gaussian_noise(settings: Mapping[str, Any]) -> str:
    kind = "white noise"
    if settings["name"] == "lrc":
        covariance = settings.get("covariance")
        described = f"covariance {_covariance(covariance)}" if covariance is not None else ""
        length = f"decay length {_number(settings.get('decay_length', '?'))}"
        kind = f"LRC noise ({length if covariance is None else described})"
    samples = settings.get("samples", 1)
    return kind if samples == 1 else f"{kind}, worst of {samples}"


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
