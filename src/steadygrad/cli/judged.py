"""The models and the images that a command names: what they are called, and loading them."""

from collections.abc import Sequence
from pathlib import Path

from steadygrad.cli.terminal import tell
from steadygrad.datasets.loading import Split
from steadygrad.distributed import main_rank_first
from steadygrad.errors import HyperparameterError, OutputError
from steadygrad.evaluation.divided_batches import dividing_ranks, same_model_everywhere
from steadygrad.evaluation.judged import JudgedModel, load_judged
from steadygrad.store import make_folder

__all__ = ["each_once", "judged_model", "place_of_results"]


def judged_model(
    target: str,
    *,
    limit: int | None,
    weights: Path | None = None,
    dataset: str | None,
    data_dir: Path | None,
    split: Split,
    image_size: int | None,
    device: str,
) -> JudgedModel:
    """Return what ``load_judged`` returns, and tell what its own configuration says."""
    with main_rank_first():  # it fills the caches
        found = load_judged(
            target,
            limit=limit,
            weights=weights,
            dataset=dataset,
            data_dir=data_dir,
            split=split,
            image_size=image_size,
            device=device,
        )
    same_model_everywhere(found.model)
    if found.about:
        tell(f"{found.name}: {found.about}")
    return found


def each_once(targets: Sequence[str], names: dict[str, str]) -> dict[str, str]:
    """Return the models by name; refuse one that is given twice."""
    found: dict[str, str] = {}
    for target in targets:
        name = names[target]
        if name in found:
            raise HyperparameterError(f"expected every model once, got {target} twice")
        found[name] = target
    return found


def place_of_results(judged: JudgedModel, out: Path | None) -> Path | None:
    """Return where results are stored: OUT, else the run's folder, if it can be written to.

    Nowhere in processes beside the main one.
    """
    if not dividing_ranks().is_main:
        return None
    if out is not None:
        return out
    return judged.run if judged.run is not None and _can_keep(judged.run) else None


def _can_keep(run: Path) -> bool:
    """Tell whether results can be stored in a run's folder; say so before the work if not."""
    folder = run / "evaluations"
    is_new = not folder.exists()
    try:
        make_folder(folder)
        if is_new:
            folder.rmdir()  # a refusal leaves nothing behind
    except (OSError, OutputError) as error:
        tell(f"{error}; the result is printed and not stored")
        return False
    return True
