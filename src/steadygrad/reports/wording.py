"""Numbers and attacks in the words of a report."""

from collections.abc import Mapping, Sequence
from typing import Any

from steadygrad.attacks import (
    ATTACKS,
    NES,
    AboutAttack,
    AutoAttack,
    IterativeFGSM,
    MomentumIterative,
    about_attack,
)
from steadygrad.attacks.nes import REACH
from steadygrad.covariance import COVARIANCES, Exponential
from steadygrad.duration_text import seconds_text
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.evaluation import AccuracyPoint

__all__ = [
    "about_record",
    "attack_name",
    "attack_settings",
    "caution_text",
    "count_text",
    "covariance_text",
    "disturbance_text",
    "enumeration",
    "eps_text",
    "interval_text",
    "large_number",
    "member_name",
    "named_attack",
    "norm_text",
    "percent",
    "seconds_text",
    "sentence_text",
    "short_number",
]

_AIMS = {
    "random": ("targeted", "a class drawn at random"),
    "least-likely": ("least-likely-class", "the least likely class"),
    "all": ("all-targets", "every wrong class in turn"),
    "given": ("targeted", "a given class"),
    "nearest": ("targeted", "the nearest classes in turn"),
}


def percent(fraction: float) -> str:
    """Return 0.983 as "98.3 %", with a space that does not break."""
    return f"{100 * fraction:.1f}\u00a0%"


def interval_text(point: AccuracyPoint) -> str:
    """Return a point's 95 % interval in percent, as "97.3–99.0"."""
    low, high = point.ci95
    return f"{100 * low:.1f}–{100 * high:.1f}"


def accuracy_text(point: AccuracyPoint | None) -> str:
    """Return an accuracy with its 95 % interval, as "98.3 % (97.3–99.0)"; None as a dash."""
    return "–" if point is None else f"{percent(point.accuracy)} ({interval_text(point)})"


def eps_text(eps: float) -> str:
    """Return a radius as people write it: "0.1", or "8/255" for one that is no short decimal."""
    if abs(eps * 1000 - round(eps * 1000)) < 1e-9:
        return f"{eps:g}"
    if abs(eps * 255 - round(eps * 255)) < 1e-6:
        return f"{round(eps * 255)}/255"
    return f"{eps:.4g}"


def radius_text(eps: float, norm: str) -> str:
    """Return the radius of hardening: "8/255", or a length as "0.5 (L2)"."""
    return f"{eps:g} (L2)" if norm == "l2" else f"{255 * eps:g}/255"


def large_number(value: float | None) -> str:
    """Return a count with a unit that keeps three digits: 39188 as "39.2 k"; None as a dash."""
    if value is None:
        return "–"
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}\u00a0{unit}"
    return f"{value:g}"


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
    return named_attack(about_record(attack), attack)


def named_attack(about: AboutAttack, settings: Mapping[str, Any]) -> str:
    """Return the short name of an attack, given what is known of its kind; see ``attack_name``."""
    short = about.title
    members = settings.get("attacks")
    if about is about_attack(AutoAttack) and members:
        short = f"{', '.join(map(member_name, members))} of {short}"
    if about.family == "noise":
        short += _noise_settings(settings)
    elif isinstance(settings.get("queries"), int):
        short += f"({count_text(settings['queries'], 'query', 'queries')})"
    elif "steps" in settings:
        short += f"({settings['steps']})"
    if (norm := length_norm(settings)) is not None and norm not in short:
        short = f"{norm} {short}"
    target = settings.get("target")
    if target is not None:
        short = f"{_AIMS.get(target, ('targeted',))[0]} {short}"
    if (loss := settings.get("loss", "cross-entropy")) != "cross-entropy":
        short += f", {_loss_text(loss)}"
    if isinstance(restarts := settings.get("restarts"), int) and restarts > 1:
        short += f", {restarts} restarts"
    return short


def member_name(member: str) -> str:
    """Return a part of AutoAttack as its authors write it: "APGD-CE", "FAB-T", "Square"."""
    return member.capitalize() if member == "square" else member.upper()


def _noise_settings(settings: Mapping[str, Any]) -> str:
    samples = settings.get("samples", 1)
    worst = "" if samples == 1 else f", worst of {samples}"
    if "distribution" in settings:
        return f" ({settings['distribution']}{worst})"
    if (covariance := settings.get("covariance")) is None:
        return worst
    if (function := _exponential(covariance)) is not None:
        return f" (decay length {short_number(function.decay_length)}){worst}"
    return f" (covariance {covariance_text(covariance)}){worst}"


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
        parts.append(f"{norm_text(rest.pop('norm'))} norm")
    for key, value in rest.items():
        if value is None:  # left to its default, which other settings tell
            continue
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
    return f"{'eps' if reach == 1 else f'{short_number(reach)} eps'} / {steps}"


def length_norm(attack: Mapping[str, Any]) -> str | None:
    """Return "L2" or "L1" where eps is the length of an image's whole change; None for L-infinity.

    attack: a record of its settings.
    """
    norm = attack.get("norm")
    return norm_text(norm) if norm in ("l2", "l1") else None


def norm_text(norm: str) -> str:
    """Return "linf" and "Linf" as "L∞", "l2" as "L2", "l1" as "L1"."""
    return "L∞" if norm.lower() == "linf" else norm[:1].upper() + norm[1:]


def disturbance_text(attack: Mapping[str, Any]) -> str:
    """Say what was done to the images, and what eps means in it."""
    about = about_record(attack)
    if about.is_gaussian:
        return "Gaussian noise of standard deviation eps"
    what = "noise" if about.family == "noise" else "an attack"
    if not about.stays_in_ball:
        return f"{what} of size eps that may change images by more"
    if (norm := length_norm(attack)) is not None:
        change = "the length of its change" if norm == "L2" else "the sum of its changes"
        return f"{what} that may change every image by at most eps in {norm}, {change}"
    return f"{what} that may change every pixel by at most eps"


def caution_text(attack: Mapping[str, Any]) -> str:
    """Return why an accuracy under an attack says little about its eps, a sentence, or ""."""
    about = about_record(attack)
    if about.stays_in_ball or about.is_gaussian or not about.has_eps:
        return ""
    return (
        f"{about.title} may change images by more than eps: it is made for training, and these "
        "accuracies are not comparable with those of attacks that keep to eps"
    )


def covariance_text(record: str | Mapping[str, Any]) -> str:
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
        return covariance_text(record)
    length, between = short_number(function.decay_length), short_number(function.inter_channel)
    return f"exp(-r / {length}), {between} of it between channels"


def _exponential(record: str | Mapping[str, Any]) -> Exponential | None:
    """Return the function of the distance that a text or a table describes; None for others."""
    if isinstance(record, Mapping):
        is_one = record.get("name") == COVARIANCES.name_of(Exponential)
    else:
        is_one = COVARIANCES.name_of(Exponential) == record.partition(":")[0]
    return COVARIANCES.of(record) if is_one else None


def short_number(value: object) -> str:
    """Return a number without needless digits, anything else as its text."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)
