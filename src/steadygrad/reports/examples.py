"""A gallery's images and predictions as plain values, for the table of a page."""

import base64
import io
from typing import Any

import torch
from torch import Tensor

from steadygrad.evaluation import Gallery
from steadygrad.reports.figures.gallery import class_name, difference

__all__ = ["gallery_examples", "png_uri"]


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
    from PIL import Image

    pixels = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).movedim(0, -1)
    shown = pixels if pixels.shape[-1] == 3 else pixels.float().mean(dim=-1).to(torch.uint8)
    buffer = io.BytesIO()
    Image.fromarray(shown.contiguous().numpy()).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
