"""Image sets: loading, the papers' preprocessing and augmentation, and batches on the device."""

from steadygrad.datasets.augmentation import Augmentation, parse_noise
from steadygrad.datasets.batches import batches
from steadygrad.datasets.decoded_cache import cache_folder
from steadygrad.datasets.image_dataset import ImageDataset
from steadygrad.datasets.loading import load_dataset
from steadygrad.datasets.luminance import centre_luminance
from steadygrad.datasets.registry import DatasetEntry, dataset_entry, dataset_names

__all__ = [
    "Augmentation",
    "DatasetEntry",
    "ImageDataset",
    "batches",
    "cache_folder",
    "centre_luminance",
    "dataset_entry",
    "dataset_names",
    "load_dataset",
    "parse_noise",
]
