"""The family of models: named architectures, and whatever else can build a network."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from torch import nn

from steadygrad.errors import ModelError, UnknownNameError
from steadygrad.models import digits, ross2018, roth2018, yeats2021
from steadygrad.models.entry import ImageShape, ModelEntry, SecondOrder
from steadygrad.models.wrappers import copied
from steadygrad.parts import Family

__all__ = [
    "MODELS",
    "ModelSource",
    "NamedComplexModel",
    "NamedModel",
    "bare",
    "build_model",
    "model",
    "model_entry",
    "model_names",
    "own_network",
]

C = TypeVar("C", bound=type[Any])


@runtime_checkable
class ModelSource(Protocol):
    """Where a network comes from; a frozen dataclass, so that it can stand in a configuration.

    One whose ``build`` returns another network each time says so by ``builds_anew = True``, one
    for images of a certain shape by a property ``input_shape``, (channels, height, width), and one
    that reads files or folders of this machine by a property ``places``, their paths.
    """

    def build(
        self, *, input_shape: ImageShape | None = None, num_classes: int | None = None
    ) -> nn.Module:
        """Return a network from images in [0, 1], (N, channels, height, width), to logits.

        Args:
            input_shape: (channels, height, width) of the images; None for the source's own.
            num_classes: at least 2; None for the source's own.

        Raises:
            ModelError: the images or classes do not fit, or a library is missing.
            CheckpointError: weights cannot be read or do not fit.
        """
        ...


def _unnamed(text: str) -> "ModelSource | None":
    """Read ``package.module:callable,key=value`` and the path of a run folder."""
    from steadygrad.models.sources.unnamed import read_unnamed

    return read_unnamed(text)


MODELS: Family[ModelSource] = Family("model", "steadygrad.models", fallback=_unnamed)
"""Every registered model; other packages add theirs by the entry point ``steadygrad.models``."""


def bare(source: ModelSource) -> ModelSource:
    """Return a source of the same architecture that fetches and reads no weights.

    For a network whose weights are loaded next: it is what a checkpoint names. A source that has
    weights has a method ``bare()``; one without is bare already.
    """
    made: ModelSource = source.bare() if hasattr(source, "bare") else source
    return made


def innermost(source: ModelSource) -> ModelSource:
    """Return the source inside those that change another's network, such as ``Smooth``."""
    inner = getattr(source, "model", None)
    return source if inner is None else innermost(inner)


def with_weights(source: Any, weights: Path) -> Any:
    """Return a source from outside with the weights of a file.

    Those that change another's network, such as ``Smooth``, hand them to the innermost.
    """
    inner = getattr(source, "model", None)
    if inner is None:
        return replace(source, weights=weights)
    return replace(source, model=with_weights(inner, weights))


def built(
    source: ModelSource, *, input_shape: ImageShape | None = None, num_classes: int | None = None
) -> nn.Module:
    """Return what a source builds.

    Raises:
        ModelError: the source refuses, or builds something else than a module.
    """
    network: object = source.build(input_shape=input_shape, num_classes=num_classes)
    if isinstance(network, nn.Module):
        return network
    raise ModelError(
        f"expected the model {MODELS.text(source)} to build a torch.nn.Module, got "
        f"{type(network).__name__}"
    )


def own_network(
    source: ModelSource, *, input_shape: ImageShape | None = None, num_classes: int | None = None
) -> nn.Module:
    """Build a network that nobody else holds, to be trained or changed.

    A source may keep the one that it returns, as a module's global variable, a builder's cache or
    an object in memory: unless it builds anew each time, this is a copy.

    Raises:
        ModelError: as ``built``, or its network cannot be copied.
    """
    network = built(source, input_shape=input_shape, num_classes=num_classes)
    return network if getattr(source, "builds_anew", False) else copied(network)


def model(name: str) -> Callable[[C], C]:
    """Return a class decorator that registers a ``ModelSource``, a frozen dataclass.

    Raises:
        HyperparameterError: as ``Family.register``.
    """
    return MODELS.register(name)


@dataclass(frozen=True, kw_only=True)
class NamedModel:
    """An architecture of the papers or of the demo, with fresh weights."""

    entry: ClassVar[ModelEntry]
    builds_anew: ClassVar[bool] = True

    @property
    def input_shape(self) -> ImageShape:
        """Shape of the paper's images; ``build`` accepts others."""
        return self.entry.input_shape

    def build(
        self, *, input_shape: ImageShape | None = None, num_classes: int | None = None
    ) -> nn.Module:
        """Return the network with weights drawn from torch's global generator.

        Raises:
            ModelError: the images are too small or there are fewer than two classes.
        """
        return self.entry.build(input_shape=input_shape, num_classes=num_classes)


@dataclass(frozen=True, kw_only=True)
class NamedComplexModel(NamedModel):
    """A complex-valued architecture.

    second_order: how its layers differentiate the input-gradient penalty, "exact" (ordinary
        autograd) or "frozen_phase" (Yeats et al. 2021, Eqs. 9 and 10).
    """

    second_order: SecondOrder = "exact"

    def build(
        self, *, input_shape: ImageShape | None = None, num_classes: int | None = None
    ) -> nn.Module:
        """Return the network with weights drawn from torch's global generator.

        Raises:
            ModelError: the images are too small or there are fewer than two classes.
        """
        return self.entry.build(
            input_shape=input_shape, num_classes=num_classes, second_order=self.second_order
        )


def _register(entry: ModelEntry) -> None:
    base = NamedComplexModel if entry.is_complex else NamedModel
    title = "".join(word.capitalize() for word in entry.name.split("-"))
    cls = type(title, (base,), {"entry": entry, "__doc__": entry.description})
    cls.__module__, cls.__qualname__ = __name__, title
    globals()[title] = MODELS.register(entry.name, entry)(cls)  # pickle looks it up by this name


_ENTRIES: dict[str, ModelEntry] = {
    entry.name: entry for room in (yeats2021, ross2018, roth2018, digits) for entry in room.ENTRIES
}
for _entry in _ENTRIES.values():
    _register(_entry)


def model_names() -> tuple[str, ...]:
    """Return the names of the architectures that steadygrad brings, in the papers' order."""
    return tuple(_ENTRIES)


def model_entry(name: str) -> ModelEntry:
    """Return what is known about an architecture that steadygrad brings.

    Raises:
        UnknownNameError: there is none of that name; names the nearest one and lists all.
    """
    entry = MODELS.about(name)
    if not isinstance(entry, ModelEntry):
        raise UnknownNameError(
            f"expected an architecture of steadygrad, got the model {name!r} of another package"
        )
    return entry


def build_model(
    name: str,
    *,
    input_shape: ImageShape | None = None,
    num_classes: int | None = None,
    second_order: SecondOrder = "exact",
) -> nn.Module:
    """Return a named network with fresh weights, drawn from torch's global generator.

    input_shape: (channels, height, width); num_classes: at least 2; both default to the paper's.
    second_order: how complex layers differentiate the input-gradient penalty, "exact" (ordinary
        autograd) or "frozen_phase" (Yeats et al. 2021, Eqs. 9 and 10); real networks ignore it.
    The network maps images in [0, 1], (N, channels, height, width), to logits (N, num_classes);
    whatever preprocessing the paper uses is its first layers.
    Raises: UnknownNameError, if there is no such name; ModelError, if the shape does not fit.
    """
    return model_entry(name).build(
        input_shape=input_shape, num_classes=num_classes, second_order=second_order
    )
