"""Networks of timm, torchvision and transformers, with their own preprocessing inside."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from steadygrad.errors import MissingExtraError, ModelError
from steadygrad.models.classifier import Classifier
from steadygrad.models.entry import ImageShape
from steadygrad.models.image_processor import pixel_normalization
from steadygrad.models.registry import model
from steadygrad.models.sources.checkpoints import FOLDER_FILES
from steadygrad.models.sources.foreign import Foreign, ForeignModel, described
from steadygrad.parts import nearest

__all__ = ["TimmModel", "TorchvisionModel", "TransformersModel"]

_OFFLINE = ("Connection", "Offline", "URLError", "LocalEntryNotFound", "Timeout", "HTTPError")


@model("timm")
@dataclass(frozen=True, kw_only=True)
class TimmModel(ForeignModel):
    """A network of timm by its name: ``timm:resnet50``, ``timm:vit_small_patch16_224``.

    Mean, standard deviation and image size are those of timm's data configuration.

    Args:
        architecture: timm's name, with or without the tag of its weights (``resnet50.a1_in1k``).
        pretrained: fetch timm's weights from the hub; without them, and without ``weights``, the
            network is untrained.
        weights, head, resize: see ``ForeignModel``.
    """

    builds_anew: ClassVar[bool] = True
    positional: ClassVar[str] = "architecture"

    architecture: str
    pretrained: bool = True

    def bare(self) -> "TimmModel":
        """Return the source without weights."""
        return replace(self, weights=None, pretrained=False)

    def _construct(self, num_classes: int | None, trained: bool) -> Foreign:
        timm = _library("timm")
        fetch = trained and self.pretrained
        classes = {} if num_classes is None or fetch else {"num_classes": num_classes}
        try:
            network: nn.Module = timm.create_model(self.architecture, pretrained=fetch, **classes)
        except Exception as error:  # timm, and what it fetches with, raise whatever they like
            if "Unknown model" in str(error):
                names = timm.list_models()
                raise _unknown("timm", self.architecture, names) from error
            raise _failed("timm", self.architecture, error) from error
        config = importlib.import_module("timm.data").resolve_model_data_config(network)
        return Foreign(
            network=network,
            mean=config["mean"],
            std=config["std"],
            image_size=int(config["input_size"][-1]),
            class_names=self._class_names(network),
            taken_from=f"timm's data configuration of {self.architecture}",
        )

    def _class_names(self, network: nn.Module) -> Sequence[str]:
        data = importlib.import_module("timm.data")
        subset = data.infer_imagenet_subset(network)
        if subset is None:
            return ()
        info = data.ImageNetInfo(subset)
        names = [info.index_to_description(index) for index in range(info.num_classes())]
        return names if len(names) == getattr(network, "num_classes", None) else ()


@model("torchvision")
@dataclass(frozen=True, kw_only=True)
class TorchvisionModel(ForeignModel):
    """A classifier of torchvision by its name: ``torchvision:resnet50``.

    Mean, standard deviation, size and class names are those of its default weights.

    Args:
        architecture: torchvision's name.
        pretrained: fetch torchvision's default weights; without them, and without ``weights``, the
            network is untrained.
        weights, head, resize: see ``ForeignModel``.
    """

    builds_anew: ClassVar[bool] = True
    positional: ClassVar[str] = "architecture"

    architecture: str
    pretrained: bool = True

    def bare(self) -> "TorchvisionModel":
        """Return the source without weights."""
        return replace(self, weights=None, pretrained=False)

    def _construct(self, num_classes: int | None, trained: bool) -> Foreign:
        _library("torchvision")
        models = importlib.import_module("torchvision.models")
        names = models.list_models(module=models)
        if self.architecture not in names:
            raise _unknown("torchvision", self.architecture, names)
        default = models.get_model_weights(self.architecture).DEFAULT
        fetch = trained and self.pretrained
        classes = {} if num_classes is None or fetch else {"num_classes": num_classes}
        try:
            network: nn.Module = models.get_model(
                self.architecture, weights=default if fetch else None, **classes
            )
        except Exception as error:  # whatever a download raises
            raise _failed("torchvision", self.architecture, error) from error
        told = default.transforms()
        names = default.meta["categories"]
        return Foreign(
            network=network,
            mean=told.mean,
            std=told.std,
            image_size=int(told.crop_size[0]),
            class_names=names if classes.get("num_classes", len(names)) == len(names) else (),
            taken_from=f"torchvision's {default}",
        )


@model("hf")
@dataclass(frozen=True, kw_only=True)
class TransformersModel(ForeignModel):
    """An image classifier of transformers: ``hf:google/vit-base-patch16-224``, ``hf:FOLDER``.

    Mean, standard deviation and size are those of its image processor, class names those of its
    configuration.

    Args:
        source: OWNER/NAME on the Hugging Face hub, or a folder with ``config.json``.
        revision: a branch, tag or commit; None for the newest.
        weights, head, resize: see ``ForeignModel``.
    """

    builds_anew: ClassVar[bool] = True
    positional: ClassVar[str] = "source"
    name_or_folder: ClassVar[str] = "source"

    source: str
    revision: str | None = None
    pretrained: bool = True

    @property
    def places(self) -> tuple[Path, ...]:
        """The file or folder of weights and that of the network, if they are on this machine."""
        folder = Path(self.source)
        return (*super().places, *([folder] if folder.expanduser().is_dir() else []))

    def build(
        self, *, input_shape: ImageShape | None = None, num_classes: int | None = None
    ) -> Classifier:
        """Return the network as a classifier of pixels; as ``ForeignModel.build``.

        Weights in a folder of transformers are read by transformers, which knows under which names
        its releases have stored them.
        """
        folder = _folder_of(self.weights)
        if folder is None:
            return super().build(input_shape=input_shape, num_classes=num_classes)
        there = replace(self, source=str(folder), weights=None, revision=None, pretrained=True)
        return there.build(input_shape=input_shape, num_classes=num_classes)

    def bare(self) -> "TransformersModel":
        """Return the source without weights."""
        return replace(self, weights=None, pretrained=False)

    def _construct(self, num_classes: int | None, trained: bool) -> Foreign:
        transformers = _library("transformers")
        auto = transformers.AutoModelForImageClassification
        place = str(Path(self.source).expanduser())
        place = place if Path(place).is_dir() else self.source
        from_hub = {} if self.revision is None else {"revision": self.revision}
        fetch = trained and self.pretrained
        try:
            config = transformers.AutoConfig.from_pretrained(place, **from_hub)
            if num_classes is not None and num_classes != config.num_labels and not fetch:
                config.num_labels = num_classes
            if fetch:
                network: nn.Module = auto.from_pretrained(place, **from_hub)
            else:
                network = auto.from_config(config)
        except Exception as error:  # whatever transformers and the hub's client raise
            raise _failed("hf", self.source, error) from error
        mean, std, size = _processed(transformers, place, from_hub, config)
        labels = getattr(config, "id2label", None) or {}
        names = [str(labels[index]) for index in sorted(labels)]
        is_named = any(name != f"LABEL_{index}" for index, name in enumerate(names))
        return Foreign(
            network=network,
            mean=mean,
            std=std,
            image_size=size,
            class_names=names if is_named else (),
            taken_from=f"the image processor of {self.source}" if mean is not None else "",
        )


def _folder_of(weights: Path | None) -> Path | None:
    """Return the folder of transformers that weights are, or lie in under their usual name."""
    if weights is None:
        return None
    place = weights.expanduser()
    place = place.parent if place.name in FOLDER_FILES else place
    return place if (place / "config.json").is_file() else None


def _processed(
    transformers: Any, place: str, from_hub: dict[str, str], config: Any
) -> tuple[Sequence[float] | None, Sequence[float] | None, int | None]:
    """Return mean, standard deviation and size of the image processor, as far as there is one."""
    side = getattr(config, "image_size", None)
    side = side if isinstance(side, int) else None
    try:
        # The configuration as a dict: building the processor itself may need torchvision.
        read = transformers.ImageProcessingMixin.get_image_processor_dict
        told, _ = read(place, **from_hub)
    except Exception:  # a model without a processor takes pixels, as far as anyone knows
        return None, None, side
    size = told.get("crop_size") if told.get("do_center_crop") else told.get("size")
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    image_size = size if isinstance(size, int) else side
    found = pixel_normalization(told)
    if found is None:
        return None, None, image_size
    channels = getattr(config, "num_channels", None)
    channels = channels if isinstance(channels, int) else 3
    mean, std = (row * max(channels, 1) if len(row) == 1 else row for row in found)
    return mean, std, image_size


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise MissingExtraError(
                f"{name} needs {error.name}, which is not installed: pip install {error.name}"
            ) from error
        beside = ", of the release that belongs to your PyTorch" if name == "torchvision" else ""
        raise MissingExtraError(f"{name} is not installed: pip install {name}{beside}") from error
    except Exception as error:  # torchvision beside another PyTorch raises RuntimeError
        raise MissingExtraError(
            f"{name} is installed but cannot be imported ({described(error)}); install the release "
            "that belongs to your PyTorch"
        ) from error


def _unknown(library: str, name: str, names: Sequence[str]) -> ModelError:
    return ModelError(
        f"{library} has no model {name!r}{nearest(name, list(names))}; it has {len(names)}, listed "
        f"by {library + '.models' if library == 'torchvision' else library}.list_models()"
    )


def _failed(library: str, name: str, error: Exception) -> ModelError:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    kinds = " ".join(type(link).__name__ for link in chain)
    if any(kind in kinds for kind in _OFFLINE) or "couldn't connect" in str(error):
        return ModelError(
            f"cannot fetch {library}:{name} without a network; fetch its weights where there is "
            f"one and give weights=FILE"
            + (" or hf:FOLDER" if library == "hf" else ", or pretrained=false for none")
        )
    return ModelError(f"{library}:{name} cannot be built: {described(error)}")
