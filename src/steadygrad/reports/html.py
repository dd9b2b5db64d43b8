"""What all HTML pages share: templates, numbers, images, and how they are written."""

import base64
import io
import platform
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from torch import Tensor

import steadygrad
from steadygrad.atomic_file import write_atomically
from steadygrad.errors import OutputError
from steadygrad.evaluation import Gallery
from steadygrad.extras import extra
from steadygrad.reports.figures.images import class_name, difference
from steadygrad.reports.wording import (
    attack_name,
    eps_text,
    interval_text,
    large_number,
    percent,
    seconds_text,
    sentence_text,
)

__all__ = [
    "date_text",
    "gallery_examples",
    "png_uri",
    "software_versions",
    "template_environment",
    "write_page",
]


def template_environment() -> Environment:
    """Return the environment of all pages: texts are escaped, a missing value is an error."""
    environment = Environment(
        loader=PackageLoader("steadygrad.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        attack=attack_name,
        eps=eps_text,
        interval=interval_text,
        large=large_number,
        percent=percent,
        duration=seconds_text,
        sentence=sentence_text,
    )
    return environment


def date_text(moment: datetime) -> str:
    """Return a UTC date and time for reading: "2 January 2025, 03:04 UTC"."""
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def software_versions() -> list[tuple[str, str]]:
    """Return (name, version) of what makes a page, steadygrad first."""
    with extra("report"):
        import matplotlib

    return [
        ("steadygrad", steadygrad.__version__),
        ("torch", torch.__version__),
        ("matplotlib", matplotlib.__version__),
        ("python", platform.python_version()),
    ]


def gallery_examples(
    gallery: Gallery,
    class_names: tuple[str, ...] | None,
    *,
    most: int = 10,
    reach: float | None = None,
) -> list[dict[str, Any]]:
    """Return the first ``most`` examples as the ``gallery_table`` of the templates reads them.

    reach: change of a pixel that is drawn black or white; None takes the gallery's eps.
    """
    changes = difference(gallery, reach)
    examples = []
    for index in range(min(most, len(gallery.clean))):
        label = int(gallery.labels[index])
        examples.append(
            {
                "label": class_name(label, class_names),
                "clean": png_uri(gallery.clean[index]),
                "change": png_uri(changes[index]),
                "adversarial": png_uri(gallery.adversarial[index]),
                "clean_prediction": _prediction(
                    gallery.clean_predictions[index], label, class_names
                ),
                "adversarial_prediction": _prediction(
                    gallery.adversarial_predictions[index], label, class_names
                ),
            }
        )
    return examples


def _prediction(
    prediction: Tensor, label: int, names: tuple[str, ...] | None
) -> dict[str, str | bool]:
    return {"name": class_name(int(prediction), names), "is_right": int(prediction) == label}


def png_uri(image: Tensor) -> str:
    """Return an image, (channels, height, width) in [0, 1], as the ``src`` of an ``<img>``.

    Anything but three channels is shown as their mean, in grey.
    """
    with extra("report"):
        from PIL import Image

    pixels = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).movedim(0, -1)
    shown = pixels if pixels.shape[-1] == 3 else pixels.float().mean(dim=-1).to(torch.uint8)
    buffer = io.BytesIO()
    Image.fromarray(shown.contiguous().numpy()).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def write_page(path: Path, text: str) -> None:
    """Write a page to the file ``path``; an older one is replaced only by the complete new one.

    Raises: OutputError, if ``path`` is a folder or cannot be written.
    """
    if path.is_dir():
        raise OutputError(f"expected an HTML file to write, but {path} is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    write_atomically(path, text.encode())
