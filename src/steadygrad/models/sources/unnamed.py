"""Models without a name: a callable by its import path, a run folder, an object in memory."""

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.models.classifier import (
    Classifier,
    check_fits,
    grey_output,
    has_fused_attention,
)
from steadygrad.models.entry import ImageShape
from steadygrad.models.model_file import load_model, read_spec
from steadygrad.models.registry import MODELS, ModelSource, bare, model
from steadygrad.models.sources.foreign import Foreign, ForeignModel, described
from steadygrad.models.wrappers import without_wrappers
from steadygrad.parts import build_part, nearest, part_fields

__all__ = ["CallableModel", "ObjectModel", "RunModel", "hardened_hint", "read_unnamed"]

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@model("callable")
@dataclass(frozen=True, kw_only=True)
class CallableModel(ForeignModel):
    """What ``package.module:callable`` returns: ``my_package.networks:build,width=3``.

    The current directory can be imported from. A name may stand for a network itself. Weights and a
    new head go into a copy: the network is the user's, and may be returned again. Of a network that
    torch.compile or DataParallel wraps, the one inside is taken, so that its keys are those of its
    own code.

    Args:
        target: the import path.
        arguments: ``key=value`` each, as Python literals or words, which the callable is given.
        mean: one number a channel, where the network expects normalised images.
        std: one number a channel, with ``mean``.
        weights, head, resize: see ``ForeignModel``.
    """

    positional: ClassVar[str] = "target"
    runs_code: ClassVar[bool] = True

    target: str
    arguments: tuple[str, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _TARGET.fullmatch(self.target):
            raise HyperparameterError(f"expected package.module:callable, got {self.target!r}")
        for argument in self.arguments:
            if not re.fullmatch(r"[A-Za-z_]\w*=[^,]*", argument):
                raise HyperparameterError(
                    f"{self.target}: expected key=value without a comma as an argument, got "
                    f"{argument!r}"
                )

    @property
    def own_text(self) -> str:
        """The text that stands for the model without a part's name."""
        from steadygrad.parts import value_text

        settings = [
            f"{setting.key}={value_text(getattr(self, setting.key), setting)}"
            for setting in part_fields(self)
            if setting.key not in ("target", "arguments")
            and getattr(self, setting.key) != setting.default
        ]
        return ",".join([self.target, *self.arguments, *settings])

    def _construct(self, num_classes: int | None, trained: bool) -> Foreign:  # noqa: ARG002
        arguments = {
            key: _literal(value)
            for key, _, value in (argument.partition("=") for argument in self.arguments)
        }
        network = without_wrappers(_called(self.target, arguments))
        return Foreign(network=network, mean=self.mean, std=self.std)


@model("run")
@dataclass(frozen=True, kw_only=True)
class RunModel:
    """The latest network of a run folder: ``run:runs/mnist``, or its path alone.

    Args:
        path: the folder of a training.
    """

    builds_anew: ClassVar[bool] = True
    positional: ClassVar[str] = "path"

    path: Path

    @property
    def places(self) -> tuple[Path, ...]:
        """The run folder."""
        return (self.path,)

    def build(
        self, *, input_shape: ImageShape | None = None, num_classes: int | None = None
    ) -> nn.Module:
        """Return the network with its trained weights.

        Raises:
            CheckpointError: there is no run, or its file is damaged.
            ModelError: it is of other images or classes.
        """
        network, _ = load_model(self._file)
        if input_shape is not None:
            check_fits(network, input_shape, num_classes, str(self.path))
        return network

    def bare(self) -> ModelSource:
        """Return the architecture that the run trained."""
        return bare(read_spec(self._file).model)

    @property
    def input_shape(self) -> ImageShape:
        """Shape of the images that the network was trained on."""
        return read_spec(self._file).input_shape

    @property
    def _file(self) -> Path:
        return self.path.expanduser() / "model.safetensors"


@model("object")
@dataclass(frozen=True, kw_only=True)
class ObjectModel:
    """A network that a Python program gave; a file can name it and cannot build it.

    Args:
        description: class, and a digest of the names and shapes of its tensors.
    """

    positional: ClassVar[str] = "description"

    description: str
    network: nn.Module | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, network: nn.Module) -> "ObjectModel":
        """Return the source that stands for a network.

        Raises:
            ModelError: it has lazy layers that have not seen an image yet.
        """
        tensors = {n: t for n, t in network.state_dict().items() if isinstance(t, Tensor)}
        if any(
            isinstance(t, UninitializedParameter | UninitializedBuffer) for t in tensors.values()
        ):
            raise ModelError(
                f"expected a network whose layers have their sizes, got {type(network).__name__} "
                "with lazy layers that have seen no image yet; call it on one first"
            )
        shapes = [(name, tuple(tensor.shape)) for name, tensor in tensors.items()]
        digest = hashlib.sha256(repr(shapes).encode()).hexdigest()[:12]
        made = cls(description=f"{type(network).__name__}-{digest}")
        object.__setattr__(made, "network", network)
        return made

    def build(
        self, *, input_shape: ImageShape | None = None, num_classes: int | None = None
    ) -> nn.Module:
        """Return the network that was given, in a ``Classifier`` if it needs one.

        It does if it returns more than logits, or uses attention without a second derivative.

        Raises:
            ModelError: the program that gave it is gone, or it is of other images or classes.
        """
        if self.network is None:
            raise ModelError(
                f"the network {self.description} was given by a Python program and cannot be built "
                "from its name; build it, and load its weights with steadygrad.models.load_weights"
            )
        if input_shape is None:
            return self.network
        check_fits(self.network, input_shape, num_classes, self.description)
        is_plain = isinstance(grey_output(self.network, input_shape), Tensor)
        if is_plain and not has_fused_attention(self.network, input_shape):
            return self.network
        return Classifier(self.network)


def read_unnamed(text: str) -> ModelSource | None:
    """Return the model that a text without a registered name stands for; None if it is none.

    Raises:
        HyperparameterError: it is a callable with a malformed setting.
    """
    head, *rest = text.split(",")
    if _TARGET.fullmatch(head) and not _looks_misspelt(head.partition(":")[0]):
        return _read_callable(head, rest)
    if Path(text).expanduser().is_dir():
        if (Path(text).expanduser() / "config.json").is_file():
            return RunModel(path=Path(text))
        raise ModelError(
            f"expected the folder of a run at {text}, found no config.json in it; "
            + (hardened_hint(Path(text)) or f"hf:{text} reads a folder of transformers")
        )
    if "/" in text and ":" not in text:
        raise ModelError(f"expected the folder of a run at {text}, got none")
    return None


def hardened_hint(folder: Path) -> str:
    """Return where the network lies in a folder that ``harden`` wrote; "" for any other folder."""
    run = folder / "run"
    is_hardening = (run.expanduser() / "config.json").is_file()
    return f"the hardened network is in {run}" if is_hardening else ""


def _looks_misspelt(name: str) -> bool:
    """Return whether a name is close to a registered one and is no module that could be meant."""
    if "." in name or not nearest(name, MODELS.names()):
        return False
    try:
        return importlib.util.find_spec(name) is None and not Path(f"{name}.py").is_file()
    except (ValueError, ImportError):
        return False


def _read_callable(target: str, items: list[str]) -> CallableModel:
    own = [setting.key for setting in part_fields(CallableModel)]
    settings: dict[str, Any] = {"target": target}
    arguments = []
    for item in items:
        key, equals, value = (piece.strip() for piece in item.partition("="))
        if not equals:
            raise HyperparameterError(f"{target}: expected key=value, got {item.strip()!r}")
        if key in own and key not in ("target", "arguments"):
            settings[key] = value
        else:
            arguments.append(f"{key}={value}")
    made: CallableModel = build_part(
        CallableModel, f"model {target}", settings | {"arguments": arguments}
    )
    return made


def _literal(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    if "+" in text and not text.startswith("+"):
        return tuple(_literal(piece) for piece in text.split("+"))
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _called(target: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return the module that a callable builds, or that the name stands for."""
    module_name, _, path = target.partition(":")
    thing: Any = _imported(module_name, target)
    for name in path.split("."):
        if not hasattr(thing, name):
            raise ModelError(f"{target}: {module_name} has no {path!r}{_similar(thing, name)}")
        thing = getattr(thing, name)
    if isinstance(thing, nn.Module):
        if arguments:
            raise ModelError(f"{target} is a network already and takes no arguments")
        return thing
    if not callable(thing):
        raise ModelError(f"{target}: expected a callable, got {type(thing).__name__}")
    try:
        network = thing(**arguments)
    except (Exception, SystemExit) as error:  # the builder is the user's own code
        raise ModelError(f"{target} raised {described(error)}") from error
    if not isinstance(network, nn.Module):
        raise ModelError(
            f"{target}: expected it to return a torch.nn.Module, got {type(network).__name__}"
        )
    return network


def _imported(name: str, target: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing == name or name.startswith(f"{missing}."):
            raise ModelError(
                f"{target}: there is no module {missing!r}, neither installed nor in {here}"
            ) from error
        raise ModelError(f"{target}: importing {name} needs {missing!r}, not installed") from error
    except SystemExit as error:
        raise ModelError(
            f"{target}: importing {name} ends the program; put what it does as a script under "
            "if __name__ == '__main__'"
        ) from error
    except Exception as error:  # the module is the user's own code
        raise ModelError(f"{target}: importing {name} raised {described(error)}") from error


def _similar(thing: Any, wanted: str) -> str:
    names = [name for name in vars(thing) if not name.startswith("_")] if vars(thing) else []
    callables = [
        name
        for name in names
        if callable(getattr(thing, name))
        and getattr(getattr(thing, name), "__module__", None) == getattr(thing, "__name__", "")
    ]
    if not callables:
        return ""
    return f"{nearest(wanted, callables)}; it has {', '.join(callables[:8])}"
