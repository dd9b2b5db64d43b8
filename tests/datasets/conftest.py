"""Made-up parquet and image folders, and the real sets where there are any."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

WriteParquet = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep decoded copies out of the user's cache folder."""
    monkeypatch.setenv("STEADYGRAD_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def png() -> Callable[[np.ndarray], bytes]:
    """Encode (height, width) or (height, width, 3) uint8."""

    def encode(pixels: np.ndarray) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, format="PNG")
        return stream.getvalue()

    return encode


@pytest.fixture
def pixels() -> Callable[..., np.ndarray]:
    """Draw uint8 images of a shape from a seed."""

    def draw(*shape: int, seed: int = 0) -> np.ndarray:
        return np.random.RandomState(seed).randint(0, 256, shape, dtype=np.uint8)

    return draw


@pytest.fixture
def write_parquet() -> WriteParquet:
    """Write one file in the hub's layout; ``names`` go into the metadata as the hub keeps them."""

    def write(
        path: Path,
        images: Sequence[Any],
        labels: Sequence[Any],
        *,
        names: Sequence[str] | None = None,
        image_column: str = "image",
        label_column: str = "label",
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        encoded_type = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
        rows = [{"bytes": image, "path": None} for image in images]
        table = pyarrow.table(
            {image_column: pyarrow.array(rows, encoded_type), label_column: pyarrow.array(labels)}
        )
        if names is not None:
            features = {label_column: {"_type": "ClassLabel", "names": list(names)}}
            metadata = {"huggingface": json.dumps({"info": {"features": features}})}
            table = table.replace_schema_metadata(metadata)
        parquet.write_table(table, path)
        return path

    return write


@pytest.fixture
def mnist_like(
    tmp_path: Path,
    png: Callable[[np.ndarray], bytes],
    pixels: Callable[..., np.ndarray],
    write_parquet: WriteParquet,
) -> tuple[Path, np.ndarray]:
    """A data folder with an ``mnist`` of 20 training and 10 test images; the training pixels."""
    images = pixels(30, 28, 28)
    encoded = [png(image) for image in images]
    labels = [index % 10 for index in range(30)]
    folder = tmp_path / "data"
    write_parquet(folder / "mnist" / "train-00000-of-00002.parquet", encoded[:15], labels[:15])
    write_parquet(folder / "mnist" / "train-00001-of-00002.parquet", encoded[15:20], labels[15:20])
    write_parquet(folder / "mnist" / "test-00000-of-00001.parquet", encoded[20:], labels[20:])
    return folder, images[:20]


@pytest.fixture
def write_image_folder(
    png: Callable[[np.ndarray], bytes], pixels: Callable[..., np.ndarray]
) -> Callable[..., Path]:
    """Write ``split/class/<number>.png`` for {split: {class: count}}."""

    def write(
        folder: Path, contents: dict[str, dict[str, int]], shape: tuple[int, ...] = (6, 5)
    ) -> Path:
        for split, classes in contents.items():
            for class_name, count in classes.items():
                place = folder / split / class_name
                place.mkdir(parents=True)
                for number in range(count):
                    (place / f"{number:03}.png").write_bytes(png(pixels(*shape, seed=number)))
        return folder

    return write
