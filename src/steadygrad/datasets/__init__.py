"""Image sets: sources, loading into memory or by workers, preprocessing and augmentation."""

from steadygrad.datasets.augmentation import (
    AUGMENTATIONS,
    NATURAL,
    AugmentationStep,
    GaussianNoise,
    HorizontalFlip,
    Noise,
    RandomCrop,
    UniformNoise,
    augment,
)
from steadygrad.datasets.decoded_cache import cache_folder
from steadygrad.datasets.deformation import ElasticDeformation, Rotation
from steadygrad.datasets.image_dataset import ImageDataset, batches, stratified_split
from steadygrad.datasets.loading import ImageLoader, Split, image_loader, load_dataset
from steadygrad.datasets.luminance import centre_luminance
from steadygrad.datasets.registry import (
    DatasetEntry,
    dataset_entry,
    dataset_names,
    is_dataset_name,
)
from steadygrad.datasets.sources import DATA_SOURCES, DataSource, data_source

__all__ = [
    "AUGMENTATIONS",
    "DATA_SOURCES",
    "NATURAL",
    "AugmentationStep",
    "DataSource",
    "DatasetEntry",
    "ElasticDeformation",
    "GaussianNoise",
    "HorizontalFlip",
    "ImageDataset",
    "ImageLoader",
    "Noise",
    "RandomCrop",
    "Rotation",
    "Split",
    "UniformNoise",
    "augment",
    "batches",
    "cache_folder",
    "centre_luminance",
    "data_source",
    "dataset_entry",
    "dataset_names",
    "image_loader",
    "is_dataset_name",
    "load_dataset",
    "stratified_split",
]
