"""Fine-tuning as a part: which layers learn, how fast, and what batch norms do meanwhile."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Literal, Protocol, TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from steadygrad.errors import HyperparameterError
from steadygrad.parts import Family

__all__ = [
    "NOTHING_LEARNS",
    "TUNINGS",
    "FineTuning",
    "Tuning",
    "hold_batch_norms",
    "learning_groups",
    "tuning",
]

NOTHING_LEARNS = (
    "expected at least one parameter that may change, but requires_grad is False for all; call "
    "requires_grad_(True) on what is to learn"
)
"""Of a network that is given frozen."""

C = TypeVar("C", bound=type[Any])


class Tuning(Protocol):
    """Prepares a network for training and divides its parameters into groups."""

    def prepare(self, model: nn.Module) -> None:
        """Change modes and ``requires_grad`` of a network that is about to be trained."""
        ...

    def groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Return the optimizer's groups: ``params``, and ``rate_factor`` of the learning rate."""
        ...


TUNINGS: Family[Tuning] = Family("tuning", "steadygrad.training", group="steadygrad.tunings")
"""Every registered way to fine-tune a network that is given with its weights."""


def tuning(name: str) -> Callable[[C], C]:
    """Return a class decorator that registers a ``Tuning`` under ``name``."""
    return TUNINGS.register(name)


@tuning("fine-tune")
@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Train parts of a trained network, early layers slower than late ones.

    Args:
        freeze: names of modules, or patterns such as ``model.layer*``, that do not learn; their
            batch norms and dropout stay in eval mode.
        early_rate: the first layer's learning rate as a share of the last one's, in (0, 1]; between
            them it rises geometrically, layer by layer.
        batch_norm: "learn" as usual, or "hold" the running statistics and normalise by them.

    Raises:
        HyperparameterError: a number is outside its range; in ``prepare``, a name is of no module,
            or nothing is left to learn.
    """

    freeze: tuple[str, ...] = ()
    early_rate: float = 1.0
    batch_norm: Literal["learn", "hold"] = "learn"

    def __post_init__(self) -> None:
        if not 0 < self.early_rate <= 1:
            raise HyperparameterError(f"expected early_rate in (0, 1], got {self.early_rate}")

    def prepare(self, model: nn.Module) -> None:
        """Freeze modules and hold statistics; what the network had frozen itself stays so."""
        for pattern in self.freeze:
            found = [module for name, module in model.named_modules() if _names(pattern, name)]
            if not found:
                names = ", ".join(name for name, _ in _children(model))
                raise HyperparameterError(
                    f"expected the name of a module to freeze, got {pattern!r}; there are {names}"
                )
            for module in found:
                module.eval().requires_grad_(False)
        if self.batch_norm == "hold":
            hold_batch_norms(model)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise HyperparameterError(
                f"expected at least one trainable parameter, but freeze={'+'.join(self.freeze)} "
                "covers all"
            )

    def groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Return one group for each module that owns parameters, in the order of their names."""
        owners = [
            [p for p in module.parameters(recurse=False) if p.requires_grad]
            for module in model.modules()
        ]
        learning = [parameters for parameters in owners if parameters]
        if self.early_rate == 1:
            return [{"params": [p for p in model.parameters() if p.requires_grad]}]
        last, seen = max(len(learning) - 1, 1), set[int]()
        groups: list[dict[str, Any]] = []
        for index, parameters in enumerate(learning):
            own = [p for p in parameters if id(p) not in seen]  # shared weights learn once
            seen |= {id(p) for p in own}
            if own:
                factor = self.early_rate ** (1 - index / last) if len(learning) > 1 else 1.0
                groups.append({"params": own, "rate_factor": factor})
        return groups


def learning_groups(model: nn.Module, tuning: Tuning | None) -> Any:
    """Prepare a network for training; return what an optimizer changes: parameters, or groups.

    Raises:
        HyperparameterError: no parameter may change, or what ``Tuning.prepare`` raises.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise HyperparameterError(NOTHING_LEARNS)
    model.train()
    if tuning is not None:
        tuning.prepare(model)
        return tuning.groups(model)
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def hold_batch_norms(model: nn.Module) -> None:
    """Let batch norms normalise by their running statistics and leave these as they are."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def _names(pattern: str, name: str) -> bool:
    # ``layer1`` means the user's own name too, which ``Classifier`` puts behind ``model.``.
    return bool(name) and (fnmatch(name, pattern) or fnmatch(name, f"model.{pattern}"))


def _children(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, child in model.named_children():
        if any(True for _ in child.parameters()):
            inner = [(f"{name}.{n}", c) for n, c in child.named_children() if name == "model"]
            yield from inner or [(name, child)]
