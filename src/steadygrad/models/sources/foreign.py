"""What all sources of foreign networks share: weights, a new last layer, a size, a check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from torch import nn

from steadygrad.error_text import described
from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.logits import logits_of
from steadygrad.models.classifier import Classifier, check_fits, grey_output
from steadygrad.models.entry import ImageShape
from steadygrad.models.model_file import ModelSpec, spec_of_run
from steadygrad.models.registry import MODELS, innermost
from steadygrad.models.sources.checkpoints import Weights, fill, read_weights
from steadygrad.models.wrappers import copied
from steadygrad.parts import with_absolute_paths

__all__ = ["Foreign", "ForeignModel", "described", "find_head", "new_head"]


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A network that a library or a user's code built, and what it says of its images.

    Attributes:
        network: with or without trained weights.
        mean, std, image_size, class_names, taken_from: as in ``Classifier``.
    """

    network: nn.Module
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    image_size: int | None = None
    class_names: Sequence[str] = field(default=(), repr=False)
    taken_from: str = ""


@dataclass(frozen=True, kw_only=True)
class ForeignModel:
    """A network from outside; subclasses say how to construct it.

    Args:
        weights: a file or folder that ``load_weights`` reads; None for the source's own.
        head: "keep" the last layer, or put a "new" one in its place, for as many classes as the
            data has: the one that a run of this model trained, where ``weights`` are of that run
            and it had as many classes, else an untrained one.
        resize: scale images to this side inside the model; None takes them as they come.

    Raises:
        HyperparameterError: a setting is outside its range.
    """

    weights: Path | None = None
    head: Literal["keep", "new"] = "keep"
    resize: int | None = None

    def __post_init__(self) -> None:
        if self.resize is not None and self.resize < 1:
            raise HyperparameterError(f"expected resize >= 1 pixel, got {self.resize}")

    def _construct(self, num_classes: int | None, trained: bool) -> Foreign:
        """Return the network.

        Args:
            num_classes: of its last layer; None for the source's own.
            trained: fetch the source's own weights, where it has any.

        Raises:
            ModelError: it cannot be had.
        """
        raise NotImplementedError

    def build(
        self, *, input_shape: ImageShape | None = None, num_classes: int | None = None
    ) -> Classifier:
        """Return the network as a classifier of pixels.

        Args:
            input_shape: (channels, height, width) that it has to take; None leaves it unchecked.
            num_classes: that it has to tell apart; None for any.

        Raises:
            ModelError: the images or classes do not fit, a library is missing, or a network that is
                to be changed cannot be copied.
            HyperparameterError: preprocessing is given for a network that has its own.
            CheckpointError: the weights cannot be read or do not fit.
        """
        classes = num_classes if self.head == "keep" else None
        inside = self._inside(input_shape)
        weights = None if self.weights is None else read_weights(self.weights)
        own = None if weights is None or self.head == "keep" else self._own_spec(weights)
        foreign = self._construct(classes, trained=weights is None)
        if isinstance(foreign.network, Classifier):
            self._refuse_preprocessing(foreign)
        if weights is not None and self.head == "new" and own is None:
            foreign = self._sized(foreign, weights, inside)
        is_changed = weights is not None or self.head == "new"
        if is_changed and not getattr(self, "builds_anew", False):
            foreign = replace(foreign, network=copied(foreign.network))
        if own is not None:
            new_head(foreign.network, own.num_classes, self._inside(own.input_shape))
        notes = () if weights is None else fill(foreign.network, weights)
        if self.head == "new":
            if own is None or num_classes not in (None, own.num_classes):
                if num_classes is None:
                    raise ModelError(
                        f"{MODELS.text(self)}: expected the number of classes for a new last layer"
                    )
                new_head(foreign.network, num_classes, inside)
            foreign = replace(foreign, class_names=())
        classifier = foreign.network
        if not isinstance(classifier, Classifier):
            classifier = Classifier(
                foreign.network,
                mean=foreign.mean,
                std=foreign.std,
                class_names=foreign.class_names,
                image_size=foreign.image_size,
                resize=self.resize,
                taken_from=foreign.taken_from,
            )
        elif self.head == "new":
            classifier.class_names = ()
        classifier.weight_notes = notes
        if input_shape is not None:
            check_fits(classifier, input_shape, num_classes, MODELS.text(self))
        return classifier

    @property
    def places(self) -> tuple[Path, ...]:
        """The file of weights, if there is one."""
        return () if self.weights is None else (self.weights,)

    def bare(self) -> Any:
        """Return the source without weights."""
        return replace(self, weights=None)

    def _refuse_preprocessing(self, foreign: Foreign) -> None:
        """Refuse settings of preprocessing that a ``Classifier``, which has its own, would hide."""
        settings = {"mean": foreign.mean, "std": foreign.std, "resize": self.resize}
        given = [key for key, value in settings.items() if value is not None]
        if given:
            raise HyperparameterError(
                f"{MODELS.text(self)} is a Classifier with preprocessing of its own, beside which "
                f"{' and '.join(given)} would have no effect; set it there"
            )

    def _inside(self, input_shape: ImageShape | None) -> ImageShape | None:
        """Return the shape that images of this one have when they reach the network."""
        if input_shape is None or self.resize is None:
            return input_shape
        return input_shape[0], self.resize, self.resize

    def _own_spec(self, weights: Weights) -> ModelSpec | None:
        """Return the specification in a file of a run that trained this model, else None."""
        spec, own = spec_of_run(weights.path), with_absolute_paths(self.bare())
        return spec if spec is not None and innermost(spec.model) == own else None

    def _sized(self, foreign: Foreign, weights: Weights, input_shape: ImageShape | None) -> Foreign:
        """Return the network with as many classes as the weights have."""
        name, head = find_head(foreign.network, input_shape)
        for key, tensor in weights.tensors.items():
            if key == f"{name}.weight" or key.endswith(f".{name}.weight"):
                if len(tensor) != _outputs(head):
                    return self._construct(len(tensor), trained=False)
                break
        return foreign


def find_head(
    network: nn.Module, input_shape: ImageShape | None = None
) -> tuple[str, nn.Linear | nn.Conv2d]:
    """Return name and module of the last layer, which is dense or a 1x1 convolution.

    It is the one of as many outputs as the network has logits that runs last.

    Args:
        network: its mode and buffers are left as they were.
        input_shape: (channels, height, width) of images that the network takes. Where it is None,
            or the network does not take them, the last layer is the last dense one by registration,
            or 1x1 convolution.

    Raises:
        ModelError: there is none.
    """
    layers = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
        or (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1))
    }
    wanted, calls = "a dense last layer", list[str]()
    answer = None if input_shape is None else _grey_answer(network, layers, input_shape)
    if answer is not None:
        classes, calls = answer
        wanted = f"a dense last layer of {classes} outputs, one a logit,"
        layers = {name: layer for name, layer in layers.items() if _outputs(layer) == classes}
    if not layers:
        raise ModelError(f"expected {wanted} in {type(network).__name__} to replace, found none")
    dense = [name for name, layer in layers.items() if isinstance(layer, nn.Linear)]
    by_registration = dense or list(layers)
    last = ([name for name in calls if name in layers] or by_registration)[-1]
    return last, layers[last]


def _grey_answer(
    network: nn.Module, layers: Mapping[str, nn.Module], input_shape: ImageShape
) -> tuple[int, list[str]] | None:
    """Return how many logits a grey image has, and which of the layers ran for it, in order.

    None where the network does not take such images, which ``check_fits`` tells of.
    """
    calls: list[str] = []
    hooks = [
        layer.register_forward_hook(lambda *_, name=name: calls.append(name))
        for name, layer in layers.items()
    ]
    try:
        return logits_of(grey_output(network, input_shape)).shape[-1], calls
    except Exception:  # whatever someone's network raises
        return None
    finally:
        for hook in hooks:
            hook.remove()


def new_head(network: nn.Module, num_classes: int, input_shape: ImageShape | None = None) -> str:
    """Put an untrained last layer for other classes in place; return its name.

    It is of the dtype and on the device of the layer that it replaces.

    Args:
        network: is changed.
        num_classes: at least 2.
        input_shape: of images that the network takes; as for ``find_head``.

    Raises:
        ModelError: no last layer is found, or there are fewer than two classes.
    """
    if num_classes < 2:
        raise ModelError(f"expected at least 2 classes, got {num_classes}")
    name, head = find_head(network, input_shape)
    made: nn.Module
    if isinstance(head, nn.Linear):
        made = nn.Linear(head.in_features, num_classes, bias=head.bias is not None)
    else:
        made = nn.Conv2d(head.in_channels, num_classes, 1, bias=head.bias is not None)
    parent, _, child = name.rpartition(".")
    if not name:
        raise ModelError("expected a network around its last layer, got that layer alone")
    setattr(network.get_submodule(parent), child, made.to(head.weight))
    for owner in (network, getattr(network, "config", None)):
        for attribute in ("num_classes", "num_labels"):
            if isinstance(getattr(owner, attribute, None), int):
                setattr(owner, attribute, num_classes)
    return name


def _outputs(head: nn.Linear | nn.Conv2d) -> int:
    return head.out_features if isinstance(head, nn.Linear) else head.out_channels
