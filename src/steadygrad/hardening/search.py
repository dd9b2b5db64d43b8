"""How far to harden: the penalty's radius that buys the most robustness for a clean accuracy."""

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import nn

from steadygrad.error_text import described
from steadygrad.errors import HyperparameterError, OutputError
from steadygrad.evaluation.auditing.fitness import UnfitError
from steadygrad.extras import extra
from steadygrad.folder_lock import only_writer
from steadygrad.hardening.data import Data
from steadygrad.hardening.fine_tuning import Hardened, check_radius, harden
from steadygrad.hardening.folder import HardeningFolder
from steadygrad.hardening.report import HardeningReport
from steadygrad.hardening.same_search import asked, refuse_another_search, refuse_fixed_radius
from steadygrad.hardening.trials import CleanDrop, Searched, Trial
from steadygrad.models import ModelSource
from steadygrad.training import Progress, SilentProgress

__all__ = ["search_hardening"]

STUDY = "steadygrad-harden"
"""The study's name in Optuna's storage."""

_PATIENCE = 60.0
"""Seconds to wait for another process that begins, or takes a trial, at the same time."""

_SECONDS_BETWEEN_LOOKS = 0.5
"""At the trials of other processes, where none is left to begin."""


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
        settings: of ``harden``; no penalty, and no recipe for a radius of its own.

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
    refuse_fixed_radius(settings, eps)
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
    wish = asked(
        model,
        settings,
        train_data=train_data,
        validation=validation,
        eps=eps,
        seed=seed,
    )
    place = storage or f"sqlite:///{(folder / 'search.db').resolve()}"
    with only_writer(folder, patience=_PATIENCE):
        try:
            study = optuna.create_study(
                storage=place, study_name=STUDY, direction="maximize", load_if_exists=True
            )
        except Exception as error:  # whatever a database and its driver raise
            raise OutputError(f"cannot keep the search in {place}: {described(error)}") from error
        _join(study, wish, folder, first=min(max(1.0, smallest), largest), seed=seed)

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

    def run(trial: optuna.Trial, factor: float) -> float:
        told.message(f"trial {trial.number + 1} of {trials}: penalty for {factor:g} eps")
        done = hardened(factor, is_audited=False)
        if not done.is_finished:
            study.enqueue_trial({"factor": factor})
            raise KeyboardInterrupt
        if done.report is None:
            raise HyperparameterError("expected validation images to search on, got none")
        result = _trial(done.report, factor * eps, done.folder)
        trial.set_user_attr("factor", factor)
        trial.set_user_attr("folder", done.folder.name)
        for key in ("penalty_radius", "clean", "robust", "drop"):
            trial.set_user_attr(key, getattr(result, key))
        # Below every value that meets the target, and nearer to it the less is lost.
        return result.robust if wanted.is_met_by(result) else -result.drop

    states = optuna.trial.TrialState
    while _count(study, "COMPLETE") < trials:
        with ExitStack() as held:
            begun = _begun_trial(study, folder, trials, (smallest, largest), held)
            if begun is None:
                continue
            try:
                value = run(*begun)
            except BaseException:
                _tell(study, folder, begun[0], state=states.FAIL)
                raise
            _tell(study, folder, begun[0], value)
    complete = study.get_trials(deepcopy=False, states=(states.COMPLETE,))
    found = sorted(_read(folder, complete), key=lambda trial: trial.penalty_radius)
    meeting = [trial for trial in found if wanted.is_met_by(trial)]
    best = max(meeting, key=lambda trial: trial.robust, default=None)
    factors = {trial.user_attrs["folder"]: trial.user_attrs["factor"] for trial in complete}
    final = None
    if best is not None:
        factor = factors[best.folder.name]
        with only_writer(_work(folder, factor), patience=math.inf):  # other processes end here, too
            try:
                final = hardened(factor, is_audited=audited)
            except UnfitError as error:  # the search is not to be lost for it
                told.message(f"the report of the best network is without an audit: {error}")
                final = hardened(factor, is_audited=False)
    searched = Searched(
        eps=eps, norm=norm, target=wanted, trials=tuple(found), best=best, hardened=final
    )
    searched.write(folder)
    return searched


def _join(study: Any, wish: dict[str, str], folder: Path, *, first: float, seed: int) -> None:
    """Begin a search, or go on with one that was begun alike.

    Args:
        study: Optuna's.
        wish: what decides the results.
        folder: of the search.
        first: factor to begin with.
        seed: of the search.

    Raises:
        HyperparameterError: it was begun with something else.
    """
    import optuna

    if len(study.get_trials(deepcopy=False)) > _count(study, "FAIL"):  # some were not refused
        refuse_another_search(study.user_attrs.get("asked", wish), wish, folder)
    else:
        study.enqueue_trial({"factor": first})
    joined = study.user_attrs.get("joined", 0)
    study.set_user_attr("asked", wish)
    study.set_user_attr("joined", joined + 1)
    # A search that goes on, or a second process, must not draw the same radii again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + joined)


def _begun_trial(
    study: Any, folder: Path, trials: int, ends: tuple[float, float], held: ExitStack
) -> tuple[Any, float] | None:
    """Return a new trial with its factor, and hold its lock.

    None, after a while, where others are at work on all that are left, or on this factor.
    """
    import optuna

    with only_writer(folder, patience=_PATIENCE):
        _give_up_killed(study, folder)
        if _count(study, "COMPLETE", "RUNNING") < trials:
            trial = study.ask()
            drawn = trial.suggest_float("factor", *ends, log=True)
            factor = min(_three_digits(drawn), ends[1])  # rounded, it may lie beyond the end
            if not _is_at_work(folder, factor):
                held.enter_context(only_writer(_work(folder, factor)))
                return trial, factor
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
    time.sleep(_SECONDS_BETWEEN_LOOKS)
    return None


def _tell(study: Any, folder: Path, trial: Any, *result: float, **state: Any) -> None:
    """End a trial, while no other process looks whether it was killed."""
    with only_writer(folder, patience=_PATIENCE):
        study.tell(trial, *result, **state)


def _give_up_killed(study: Any, folder: Path) -> None:
    """Put trials whose process was killed in line again."""
    import optuna

    states = optuna.trial.TrialState
    for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
        factor = trial.params.get("factor")
        if factor is None or not _is_at_work(folder, factor):
            study.tell(trial.number, state=states.FAIL)
            if factor is not None:
                study.enqueue_trial({"factor": factor})


def _count(study: Any, *names: str) -> int:
    """Return how many trials are in one of these states."""
    return sum(trial.state.name in names for trial in study.get_trials(deepcopy=False))


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
    before, after = report.before.clean, report.after.clean
    return Trial(
        penalty_radius=radius,
        clean=after.accuracy,
        robust=report.after.worst_case(report.eps).accuracy,
        # Of counts: a difference of accuracies can be 1.0000000000000009 where one point is lost.
        drop=100 * (before.correct - after.correct) / after.n,
        folder=folder,
    )


def _read(folder: Path, complete: Sequence[Any]) -> list[Trial]:
    keys: tuple[str, ...] = ("penalty_radius", "clean", "robust", "drop")
    by_folder = {trial.user_attrs["folder"]: trial.user_attrs for trial in complete}
    return [
        Trial(**{key: float(known[key]) for key in keys}, folder=folder / name)
        for name, known in by_folder.items()
    ]
