"""The image sets known by name: what each is, how large, and where it comes from."""

from dataclasses import dataclass

from steadygrad.errors import UnknownNameError

__all__ = ["DatasetEntry", "dataset_entry", "dataset_names", "is_dataset_name"]

DIGITS = tuple(str(digit) for digit in range(10))


@dataclass(frozen=True, kw_only=True)
class DatasetEntry:
    """What is known of a set before it is loaded.

    input_shape: (channels, height, width) as models see it, after the set's own preprocessing.
    train_size, test_size: images in the whole set; a copy may hold fewer, and its note then
        says so.
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
    hub_id: str | None = None
    hub_folder: str | None = None
    note: str = ""

    @property
    def num_classes(self) -> int:
        """How many classes the set has."""
        return len(self.class_names)


_ENTRIES = (
    DatasetEntry(
        name="digits",
        description="handwritten digits of scikit-learn, 8x8 grey, no download",
        input_shape=(1, 8, 8),
        class_names=DIGITS,
        train_size=1437,
        test_size=360,
        note="fixed stratified split of our own: scikit-learn ships the images without one",
    ),
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
    DatasetEntry(
        name="fashion_mnist",
        description="articles of clothing, 28x28 grey",
        input_shape=(1, 28, 28),
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        train_size=60_000,
        test_size=10_000,
        hub_id="zalando-datasets/fashion_mnist",
        hub_folder="fashion_mnist",
    ),
    DatasetEntry(
        name="cifar10",
        description="photographs of ten kinds of object, 32x32 RGB",
        input_shape=(3, 32, 32),
        class_names=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        train_size=50_000,
        test_size=10_000,
        hub_id="uoft-cs/cifar10",
        hub_folder="plain_text",
    ),
    DatasetEntry(
        name="svhn",
        description="house numbers, 28x28 luminance, each image stretched to [0, 1]",
        input_shape=(1, 28, 28),
        class_names=DIGITS,
        train_size=73_257,
        test_size=26_032,
        hub_id="ufldl-stanford/svhn",
        hub_folder="cropped_digits",
        note="for non-commercial research use",
    ),
    DatasetEntry(
        name="svhn_10k",
        description="the first 10,000 images of SVHN's test set, prepared like svhn",
        input_shape=(1, 28, 28),
        class_names=DIGITS,
        train_size=7989,
        test_size=2011,
        note=(
            "not SVHN's own split: the first 10,000 images of its test set, cut by house photo; "
            "results on it are not comparable with published SVHN numbers"
        ),
    ),
)
_BY_NAME = {entry.name: entry for entry in _ENTRIES}


def dataset_names() -> tuple[str, ...]:
    """Return the names of the known sets, in the order in which they are listed."""
    return tuple(_BY_NAME)


def is_dataset_name(name: str) -> bool:
    """Say whether a set of that name is known."""
    return name in _BY_NAME


def dataset_entry(name: str) -> DatasetEntry:
    """Return what is known of a set.

    Raises: UnknownNameError, listing the names.
    """
    if name not in _BY_NAME:
        raise UnknownNameError(
            f"unknown data set {name!r}; choose from {', '.join(_BY_NAME)}, "
            "or give the path of a folder of your own"
        )
    return _BY_NAME[name]
