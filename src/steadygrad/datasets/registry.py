"""The image sets known by name: what each is, where it comes from and how it is prepared."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from steadygrad.datasets.hub import HubSet
from steadygrad.datasets.image_dataset import ImageDataset, stratified_split
from steadygrad.datasets.luminance import LUMINANCE_SIDE, centre_luminance
from steadygrad.datasets.parquet import ParquetTable
from steadygrad.datasets.parquet_shards import holds_parquet
from steadygrad.datasets.sources import (
    DATA_SOURCES,
    EncodedImages,
    check_limit,
    load_table,
    parquet_table,
)
from steadygrad.errors import DatasetError, HyperparameterError, UnknownNameError
from steadygrad.extras import extra
from steadygrad.parts import nearest

__all__ = [
    "DatasetEntry",
    "NamedImages",
    "dataset_entry",
    "dataset_names",
    "is_dataset_name",
]

DIGITS = tuple(str(digit) for digit in range(10))
DIGITS_TEST_SIZE = 360
DIGITS_SPLIT_SEED = 0


@dataclass(frozen=True, kw_only=True)
class DatasetEntry:
    """What is known of a set before it is loaded.

    Args:
        name: as the set is registered.
        description: half a sentence.
        input_shape: (channels, height, width) as models see it, after the set's own preprocessing.
        class_names: in the order of their indices.
        train_size: training images of the whole set; a copy may hold fewer, and then says so.
        test_size: the same of the test images.
        stored_shape: (channels, height, width) on disk, where preprocessing changes it.
        hub_id: its name on the Hugging Face hub; None for a set that is not there.
        hub_folder: the configuration, and folder, within ``hub_id``; None with it.
        note: what a reader of results on this set has to know; empty where there is nothing.
    """

    name: str
    description: str
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    train_size: int
    test_size: int
    stored_shape: tuple[int, int, int] | None = None
    hub_id: str | None = None
    hub_folder: str | None = None
    note: str = ""

    @property
    def num_classes(self) -> int:
        """How many classes the set has."""
        return len(self.class_names)


def dataset_names() -> tuple[str, ...]:
    """Return the names of the known sets, in the order in which they are listed."""
    return tuple(
        name
        for name in DATA_SOURCES.usable_names()
        if isinstance(DATA_SOURCES.about(name), DatasetEntry)
    )


def is_dataset_name(text: str) -> bool:
    """Return whether a set of that name, settings aside, is known."""
    return text.partition(":")[0] in dataset_names()


def dataset_entry(text: str) -> DatasetEntry:
    """Return what is known of the set of that name, settings aside.

    Raises:
        UnknownNameError: there is none; lists the names.
    """
    name = text.partition(":")[0]
    if name not in dataset_names():
        raise UnknownNameError(
            f"unknown data set {name!r}{nearest(name, dataset_names())}; choose from "
            f"{', '.join(dataset_names())}, or give the path of a folder of your own"
        )
    entry: DatasetEntry = DATA_SOURCES.about(name)
    return entry


@dataclass(frozen=True, kw_only=True)
class NamedImages(EncodedImages):
    """A set with a ``DatasetEntry``: parquet files in a folder or on the Hugging Face hub.

    Args:
        data_dir: holds the set as ``data_dir/<name>/{train,test}-*.parquet``, or is itself the
            set's folder; None for the hub, which keeps what it has downloaded.
    """

    data_dir: Path | None = None

    @property
    def entry(self) -> DatasetEntry:
        """What is known of the set."""
        entry: DatasetEntry = DATA_SOURCES.about(self)
        return entry

    @property
    def title(self) -> str:
        """The set's name."""
        return self.entry.name

    def load(self, split: str, *, cache: bool = True) -> ImageDataset:
        """Return a split, whole in memory."""
        entry, table = self.entry, self._stored(split)
        dataset, count = load_table(
            table, split, image_size=self.image_size, limit=self.limit, cache=cache
        )
        stored = entry.stored_shape or entry.input_shape
        if self.image_size is not None:
            stored = (stored[0], self.image_size, self.image_size)
        if dataset.input_shape != stored:
            raise DatasetError(
                f"expected images of shape {stored} for {entry.name}, "
                f"got {dataset.input_shape} in {table.place}"
            )
        whole = entry.train_size if split == "train" else entry.test_size
        notes = [entry.note, dataset.note]
        if count != whole:
            notes.append(f"{count:,} of the set's {whole:,} {split} images")
        return replace(dataset, note="; ".join(note for note in notes if note))

    def table(self, split: str, *, streaming: bool = False) -> ParquetTable | None:
        """Return the set as encoded images."""
        return self._stored(split, streaming=streaming)

    def _stored(self, split: str, *, streaming: bool = False) -> ParquetTable:
        _refuse_validation(self.title, split)
        entry = self.entry
        if self.data_dir is not None:
            return parquet_table(self._folder(), entry.name, class_names=entry.class_names)
        if entry.hub_id is None:
            raise DatasetError(f"no copy of {entry.name} is given: {self._remedy()}")
        found = HubSet(
            entry.hub_id, entry.hub_folder, None, self._remedy(), entry.name, entry.class_names
        )
        return found.stream() if streaming else found.table(split)

    def _folder(self) -> Path:
        """Return the folder of the set's files, in or at ``data_dir``."""
        assert self.data_dir is not None
        directory = self.data_dir.expanduser()
        if not directory.is_dir():
            inside = "" if directory.is_absolute() else f" in {Path.cwd()}"
            raise DatasetError(
                f"the data folder {directory} does not exist{inside}; give --data-dir (data_dir)"
            )
        for folder in self._places(directory):
            if holds_parquet(folder):
                return folder
        raise DatasetError(f"no {self.entry.name} in {directory}: {self._remedy()}")

    def _places(self, directory: Path) -> Iterator[Path]:
        """Yield where the hub's layout may keep the files."""
        roots = [directory / self.entry.name]
        # A folder that is called like another set is not this one.
        if directory.resolve().name not in set(dataset_names()) - {self.entry.name}:
            roots.append(directory)
        for root in roots:
            yield root
            if self.entry.hub_folder is not None:
                yield root / self.entry.hub_folder
            yield root / "data"

    def _remedy(self) -> str:
        """Say in half a sentence what to download and where to put it."""
        entry = self.entry
        target = (self.data_dir or Path("DIR")) / entry.name
        option = "" if self.data_dir else " and give --data-dir DIR (data_dir)"
        if entry.hub_id is None:
            return (
                f"put its train-*.parquet and test-*.parquet into {target}{option}; "
                "it is on no hub to download it from"
            )
        return (
            f"download {entry.hub_folder}/train-*.parquet and test-*.parquet of "
            f"https://huggingface.co/datasets/{entry.hub_id} into {target}{option}"
        )


@DATA_SOURCES.register(
    "digits",
    DatasetEntry(
        name="digits",
        description="handwritten digits of scikit-learn, 8x8 grey, no download",
        input_shape=(1, 8, 8),
        class_names=DIGITS,
        train_size=1437,
        test_size=360,
        note="fixed stratified split of our own: scikit-learn ships the images without one",
    ),
)
@dataclass(frozen=True, kw_only=True)
class Digits:
    """scikit-learn's 1,797 handwritten digits: the set that needs no download.

    Pixels are float32, the stored 0..16 divided by 16. The split into 1,437 training and 360 test
    images is our own, stratified and the same for everybody; both keep the stored order.

    Args:
        limit: only the first so many images of each split.
    """

    limit: int | None = None

    def __post_init__(self) -> None:
        check_limit(self.limit)

    @property
    def title(self) -> str:
        """The set's name."""
        return "digits"

    def load(self, split: str, *, cache: bool = True) -> ImageDataset:  # noqa: ARG002
        """Return a split, whole in memory."""
        with extra("data"):
            from sklearn import datasets

        _refuse_validation(self.title, split)
        bunch = datasets.load_digits()
        pixels = torch.from_numpy(bunch.images).to(torch.float32).div(16).unsqueeze(1)
        labels = torch.from_numpy(bunch.target).to(torch.int64)
        train, test = stratified_split(labels, DIGITS_TEST_SIZE, DIGITS_SPLIT_SEED)
        chosen = train if split == "train" else test
        note = dataset_entry(self.title).note
        dataset = ImageDataset(self.title, split, pixels[chosen], labels[chosen], DIGITS, note)
        return dataset if self.limit is None else dataset.first(self.limit)

    def table(self, split: str, *, streaming: bool = False) -> None:
        """Return None: the set exists in memory only."""


@DATA_SOURCES.register(
    "mnist",
    DatasetEntry(
        name="mnist",
        description="handwritten digits, 28x28 grey",
        input_shape=(1, 28, 28),
        class_names=DIGITS,
        train_size=60_000,
        test_size=10_000,
        hub_id="ylecun/mnist",
        hub_folder="mnist",
    ),
)
@dataclass(frozen=True, kw_only=True)
class MNIST(NamedImages):
    """Handwritten digits (LeCun et al., Proceedings of the IEEE 1998)."""


@DATA_SOURCES.register(
    "fashion_mnist",
    DatasetEntry(
        name="fashion_mnist",
        description="articles of clothing, 28x28 grey",
        input_shape=(1, 28, 28),
        class_names=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        train_size=60_000,
        test_size=10_000,
        hub_id="zalando-datasets/fashion_mnist",
        hub_folder="fashion_mnist",
    ),
)
@dataclass(frozen=True, kw_only=True)
class FashionMNIST(NamedImages):
    """Articles of clothing (Xiao, Rasul & Vollgraf, arXiv:1708.07747)."""


@DATA_SOURCES.register(
    "cifar10",
    DatasetEntry(
        name="cifar10",
        description="photographs of ten kinds of object, 32x32 RGB",
        input_shape=(3, 32, 32),
        class_names=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        train_size=50_000,
        test_size=10_000,
        hub_id="uoft-cs/cifar10",
        hub_folder="plain_text",
    ),
)
@dataclass(frozen=True, kw_only=True)
class CIFAR10(NamedImages):
    """Photographs of ten kinds of object (Krizhevsky, 2009)."""


@dataclass(frozen=True, kw_only=True)
class _HouseNumbers(NamedImages):
    """SVHN as Yeats, Chen & Li prepare it: the centre as stretched luminance."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_size is not None:
            side = LUMINANCE_SIDE
            raise HyperparameterError(
                f"{self.title} is prepared at {side}x{side} and takes no image_size, "
                f"got {self.image_size}"
            )

    def load(self, split: str, *, cache: bool = True) -> ImageDataset:
        """Return a split, whole in memory."""
        dataset = super().load(split, cache=cache)
        return replace(dataset, pixels=centre_luminance(dataset.pixels))

    def table(self, split: str, *, streaming: bool = False) -> None:
        """Return None: prepared, the set exists in memory only."""


@DATA_SOURCES.register(
    "svhn",
    DatasetEntry(
        name="svhn",
        description="house numbers, 28x28 luminance, each image stretched to [0, 1]",
        input_shape=(1, LUMINANCE_SIDE, LUMINANCE_SIDE),
        stored_shape=(3, 32, 32),
        class_names=DIGITS,
        train_size=73_257,
        test_size=26_032,
        hub_id="ufldl-stanford/svhn",
        hub_folder="cropped_digits",
        note="for non-commercial research use",
    ),
)
@dataclass(frozen=True, kw_only=True)
class SVHN(_HouseNumbers):
    """House numbers (Netzer et al., NIPS workshop 2011)."""


@DATA_SOURCES.register(
    "svhn_10k",
    DatasetEntry(
        name="svhn_10k",
        description="the first 10,000 images of SVHN's test set, prepared like svhn",
        input_shape=(1, LUMINANCE_SIDE, LUMINANCE_SIDE),
        stored_shape=(3, 32, 32),
        class_names=DIGITS,
        train_size=7989,
        test_size=2011,
        note=(
            "not SVHN's own split: the first 10,000 images of its test set, cut by house photo; "
            "results on it are not comparable with published SVHN numbers"
        ),
    ),
)
@dataclass(frozen=True, kw_only=True)
class SVHN10k(_HouseNumbers):
    """A part of SVHN's test set, where the whole is not available."""


def _refuse_validation(title: str, split: str) -> None:
    if split == "validation":
        raise HyperparameterError(
            f"{title} has no validation split of its own; "
            "give validation_size >= 1 to cut one from train"
        )
