"""How far to harden: the penalty's radius that buys the most robustness for a clean accuracy."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from steadygrad.atomic_file import write_atomically
from steadygrad.error_text import described
from steadygrad.errors import HyperparameterError, OutputError
from steadygrad.evaluation.auditing.fitness import UnfitError
from steadygrad.extras import extra
from steadygrad.folder_lock import only_writer
from steadygrad.hardening.data import Data
from steadygrad.hardening.fine_tuning import Hardened, check_radius, harden
from steadygrad.hardening.folder import HardeningFolder
from steadygrad.hardening.report import HardeningReport
from steadygrad.models import ModelSource
from steadygrad.reports.figures import save_figure
from steadygrad.reports.figures.trade_off import trade_off_figure
from steadygrad.reports.wording import percent
from steadygrad.store import make_folder
from steadygrad.training import Progress, SilentProgress

__all__ = ["CleanDrop", "Searched", "Trial", "search_hardening"]

STUDY = "steadygrad-harden"
"""The study's name in Optuna's storage."""


@dataclass(frozen=True)
class CleanDrop:
    """What a search must keep: clean accuracy may fall by at most so many points.

    points: of accuracy in percent, at least 0, measured on validation images.
    """

    points: float

    def __post_init__(self) -> None:
        if not 0 <= self.points <= 100:
            raise HyperparameterError(
                f"expected a clean drop from 0 to 100 points, got {self.points}"
            )

    @classmethod
    def parse(cls, text: str) -> "CleanDrop":
        """Return the target that a text such as "clean-drop<=1" says.

        Raises:
            HyperparameterError: it says none.
        """
        found = re.fullmatch(r"\s*clean-drop\s*<=\s*(\d+\.?\d*|\.\d+)\s*", text)
        if found is None:
            raise HyperparameterError(f"expected a target such as clean-drop<=1, got {text!r}")
        return cls(float(found[1]))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One hardening of a search.

    Attributes:
        penalty_radius: of the penalty, in pixels.
        clean, robust: accuracies of the hardened network on validation images, in [0, 1]; the
            second under PGD at the search's radius.
        drop: points of clean accuracy that it cost.
        folder: everything of this hardening.
    """

    penalty_radius: float
    clean: float
    robust: float
    drop: float
    folder: Path


@dataclass(frozen=True, eq=False, kw_only=True)
class Searched:
    """All trials by radius of the penalty, and the most robust of those that meet the target.

    best, hardened: None if no trial meets it. The second is what ``harden`` returned for the best.
    """

    eps: float
    target: CleanDrop
    trials: tuple[Trial, ...]
    best: Trial | None
    hardened: Hardened | None

    def markdown(self) -> str:
        """Return the trials as a table."""
        lines = [
            f"# Hardening for eps {255 * self.eps:.3g}/255, at most {self.target.points:g} points "
            "of clean accuracy",
            "",
            "Measured on the validation images that also chose the best radius: before you quote a "
            "number, measure on other images.",
            "",
            "| radius of the penalty | clean | lost (points) | robust at eps | folder |",
            "|---|---|---|---|---|",
        ]
        for trial in self.trials:
            mark = " **best**" if trial is self.best else ""
            lines.append(
                f"| {255 * trial.penalty_radius:.3g}/255 | {percent(trial.clean)} | "
                f"{trial.drop:.1f} | {percent(trial.robust)} | {trial.folder.name}{mark} |"
            )
        lines += ["", "![robustness against clean accuracy](search.png)", ""]
        return "\n".join(lines)


def search_hardening(
    model: nn.Module | ModelSource | str,
    train_data: Data,
    validation: Data | None = None,
    *,
    eps: float,
    target: CleanDrop | str = "clean-drop<=1",
    trials: int = 6,
    smallest: float = 0.25,
    largest: float = 4.0,
    storage: str | None = None,
    out: Path | str = "hardened",
    audited: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
    **settings: Any,
) -> Searched:
    """Harden several times and keep the most robust network that keeps its clean accuracy.

    Searched is the penalty's radius, from ``smallest * eps`` to ``largest * eps``, with Optuna's
    TPE sampler; ``eps`` itself comes first. Robustness is that of ``harden``'s report under PGD, at
    ``eps``; the quick audit is run on the best alone.
    Several processes or machines that are given one ``storage`` and one ``out`` share the trials. A
    search that was stopped goes on with the same call; finished trials are not run again. With
    another model, radius or setting it is refused: its trials could not be compared.

    Folder: ``penalty-*/`` of every trial as ``harden`` writes it, ``search.md``, ``search.png`` and
    ``search.json``, and ``search.db`` where no ``storage`` is given.

    Args:
        model, train_data, validation, eps: as in ``harden``; there must be validation images.
        target: what has to be kept, such as "clean-drop<=1".
        trials: how many there shall be in all, at least 1.
        smallest, largest: ends of the search, in units of ``eps``, positive.
        storage: Optuna's, such as "sqlite:///search.db" or "postgresql://...".
        out: the folder.
        audited: whether the best network's report has the quick audit.
        seed: of the training and the search.
        progress: as in ``harden``.
        settings: of ``harden``.

    Raises:
        MissingExtraError: optuna is not installed.
        HyperparameterError: a setting is refused, there are no validation images, or the search in
            this folder or storage was begun with something else.
        OutputError: the search cannot be kept in ``storage``.
        What ``harden`` raises.
    """
    wanted = CleanDrop.parse(target) if isinstance(target, str) else target
    if settings.get("overwrite"):
        raise HyperparameterError(
            "expected no overwrite along with a target, since the same call goes on with a search; "
            "choose another folder to begin anew"
        )
    if trials < 1:
        raise HyperparameterError(f"expected trials >= 1, got {trials}")
    norm = settings.get("norm", "linf")
    check_radius(eps, norm)
    if not 0 < smallest <= largest < math.inf:
        raise HyperparameterError(
            f"expected 0 < smallest <= largest, got smallest {smallest:g} and largest {largest:g}"
        )
    if norm == "linf":  # pixels move by at most 1
        largest = min(largest, 1 / eps)
        smallest = min(smallest, largest)
    with extra("search"):
        import optuna
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder, told = Path(out), progress or SilentProgress()
    make_folder(folder)
    place = storage or f"sqlite:///{(folder / 'search.db').resolve()}"
    try:
        study = optuna.create_study(
            storage=place, study_name=STUDY, direction="maximize", load_if_exists=True
        )
    except Exception as error:  # whatever a database and its driver raise
        raise OutputError(f"cannot keep the search in {place}: {described(error)}") from error
    asked = _asked(
        settings,
        model=model,
        train_data=train_data,
        validation=validation,
        eps=eps,
        seed=seed,
    )
    _refuse_another_search(study.user_attrs.get("asked", asked), asked, folder)
    for dead in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        factor = dead.params.get("factor")
        if factor is None or not _is_at_work(folder, factor):  # its process was killed
            study.tell(dead.number, state=optuna.trial.TrialState.FAIL)
            if factor is not None:
                study.enqueue_trial({"factor": factor})
    trial_states = [trial.state for trial in study.get_trials(deepcopy=False)]
    begun = len(trial_states) - trial_states.count(optuna.trial.TrialState.FAIL)  # those refused
    # A search that goes on, or a second process, must not draw the same radii again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + begun)
    if begun == 0:
        study.enqueue_trial({"factor": min(max(1.0, smallest), largest)})

    def hardened(factor: float, *, is_audited: bool) -> Hardened:
        place = folder / f"penalty-{factor:g}"
        return harden(
            model,
            train_data,
            validation,
            eps=eps,
            penalty_radius=factor * eps,
            out=place,
            audited=is_audited,
            seed=seed,
            resume=HardeningFolder(place).has_begun,
            progress=progress,
            **settings,
        )

    def run(trial: optuna.Trial) -> float:
        # Rounded, it may lie beyond the end.
        drawn = trial.suggest_float("factor", smallest, largest, log=True)
        factor = min(_three_digits(drawn), largest)
        told.message(f"trial {trial.number + 1} of {trials}: penalty for {factor:g} eps")
        with only_writer(_work(folder, factor)):
            done = hardened(factor, is_audited=False)
        if not done.is_finished:
            study.enqueue_trial({"factor": factor})
            raise KeyboardInterrupt
        if done.report is None:
            raise HyperparameterError("expected validation images to search on, got none")
        study.set_user_attr("asked", asked)
        result = _trial(done.report, factor * eps, done.folder)
        trial.set_user_attr("factor", factor)
        trial.set_user_attr("folder", done.folder.name)
        for key in ("penalty_radius", "clean", "robust", "drop"):
            trial.set_user_attr(key, getattr(result, key))
        # Below every value that meets the target, and nearer to it the less is lost.
        return result.robust if result.drop <= wanted.points else -result.drop

    states = (optuna.trial.TrialState.COMPLETE,)
    if len(study.get_trials(deepcopy=False, states=states)) < trials:
        # Trials of other processes on this storage count too.
        study.optimize(run, callbacks=[optuna.study.MaxTrialsCallback(trials, states=states)])
    complete = study.get_trials(deepcopy=False, states=states)
    found = sorted(_read(folder, complete), key=lambda trial: trial.penalty_radius)
    meeting = [trial for trial in found if trial.drop <= wanted.points]
    best = max(meeting, key=lambda trial: trial.robust, default=None)
    factors = {trial.user_attrs["folder"]: trial.user_attrs["factor"] for trial in complete}
    final = None
    if best is not None:
        try:
            final = hardened(factors[best.folder.name], is_audited=audited)
        except UnfitError as error:  # the search is not to be lost for it
            told.message(f"the report of the best network is without an audit: {error}")
            final = hardened(factors[best.folder.name], is_audited=False)
    searched = Searched(eps=eps, target=wanted, trials=tuple(found), best=best, hardened=final)
    _write(searched, folder)
    return searched


_FREE_TO_CHANGE = frozenset({"progress", "device", "cuda_graph", "shard", "trackers", "accept"})
"""Settings of ``harden`` that a search may go on without, or with others."""


def _asked(settings: Mapping[str, Any], **others: Any) -> dict[str, str]:
    """Return in texts what decides the results of a search."""
    every = {**settings, **others}
    return {key: _said(value) for key, value in every.items() if key not in _FREE_TO_CHANGE}


def _refuse_another_search(then: Mapping[str, str], now: Mapping[str, str], folder: Path) -> None:
    """Raise HyperparameterError, naming the first setting in which two searches differ."""
    for key in sorted(now.keys() | then.keys()):
        ours, theirs = now.get(key, "its default"), then.get(key, "its default")
        if ours != theirs:
            raise HyperparameterError(
                f"expected {key} {theirs}, as the search in {folder} was begun with, got {ours}; "
                "choose another folder (and storage) for another search"
            )


def _said(value: Any) -> str:
    """Return a setting as a text that is the same in every process; of an object, its kind."""
    if isinstance(value, str | int | float | bool | tuple | list | Mapping | Path | None):
        return str(value)
    if hasattr(value, "__len__"):  # images
        return f"{type(value).__name__} of {len(value)}"
    if is_dataclass(value) and not isinstance(value, type | nn.Module):  # a part
        places = {f.name: None for f in fields(value) if f.name == "data_dir" and f.init}
        return repr(replace(value, **places)) if places else repr(value)
    return type(value).__name__


def _three_digits(factor: float) -> float:
    return float(f"{factor:.3g}")


def _work(folder: Path, factor: float) -> Path:
    """Return what is locked while a trial is at work: unlike the run, in its measurements too."""
    return folder / f".penalty-{_three_digits(factor):g}"


def _is_at_work(folder: Path, factor: float) -> bool:
    try:
        with only_writer(_work(folder, factor)):
            return False
    except OutputError:
        return True


def _trial(report: HardeningReport, radius: float, folder: Path) -> Trial:
    before, after = report.before.clean.accuracy, report.after.clean.accuracy
    return Trial(
        penalty_radius=radius,
        clean=after,
        robust=report.after.worst_case(report.eps).accuracy,
        drop=100 * (before - after),
        folder=folder,
    )


def _read(folder: Path, complete: Sequence[Any]) -> list[Trial]:
    keys: tuple[str, ...] = ("penalty_radius", "clean", "robust", "drop")
    by_folder = {trial.user_attrs["folder"]: trial.user_attrs for trial in complete}
    return [
        Trial(**{key: float(known[key]) for key in keys}, folder=folder / name)
        for name, known in by_folder.items()
    ]


def _write(searched: Searched, folder: Path) -> None:
    record = {
        "eps": searched.eps,
        "target": f"clean-drop<={searched.target.points:g}",
        "best": None if searched.best is None else searched.best.folder.name,
        "trials": [vars(trial) | {"folder": trial.folder.name} for trial in searched.trials],
    }
    write_atomically(folder / "search.json", (json.dumps(record, indent=2) + "\n").encode())
    write_atomically(folder / "search.md", searched.markdown().encode())
    points = [(100 * t.clean, 100 * t.robust, t is searched.best) for t in searched.trials]
    save_figure(trade_off_figure(points), folder / "search.png")
