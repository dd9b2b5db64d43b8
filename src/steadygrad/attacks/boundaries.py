"""How far the boundaries to other classes are, by the linearized model."""

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.input_gradient import input_gradient
from steadygrad.attacks.labels import wrong_classes
from steadygrad.checks import check_finite_losses
from steadygrad.memory import keep_freed_memory
from steadygrad.model_answer import answer

__all__ = ["boundary_distances", "nearest_boundaries"]

LOOKED_AT = 2
"""Classes whose gradients are computed for each that is asked for: those of the largest logits."""


def boundary_distances(
    model: Classifier, images: Images, labels: Labels, classes: Tensor, norm: Norm
) -> Tensor:
    """Return the linearized distance from each image to the boundaries with some classes.

    It is ``(z_y - z_k) / |grad (z_y - z_k)|`` with the dual of ``norm``: L1 for "linf". It is
    negative where class k is ahead of the label already, and infinite where the slope vanishes.

    Args:
        model: one pass, and one backward pass for each class.
        images: (batch, channels, height, width).
        labels: y, int64 (batch,).
        classes: k, int64 (batch, count), none of them the label.
        norm: in which the distance is measured.

    Returns:
        the distances, (batch, count), in float32 or wider.

    Raises:
        ModelError: outputs are no finite logits or do not depend on the images.
    """
    keep_freed_memory()
    order = 2.0 if norm == "l2" else 1.0
    with torch.inference_mode(False), torch.enable_grad():
        # clone: autograd refuses tensors made in inference mode, but takes copies of them.
        images = images.detach().clone().requires_grad_()
        logits = answer(model, images)
        check_finite_losses(logits.detach().sum(dim=1))
        leads = logits.gather(1, labels.clone().unsqueeze(1)) - logits.gather(1, classes.clone())
        wide = torch.promote_types(leads.dtype, torch.float32)
        slopes = [
            torch.linalg.vector_norm(
                input_gradient(lead, images, keep_graph=True), ord=order, dim=(1, 2, 3), dtype=wide
            )
            for lead in leads.unbind(dim=1)
        ]
    slope, lead = torch.stack(slopes, dim=1), leads.detach().to(wide)
    return torch.where(slope > 0, lead / slope, torch.inf)


def nearest_boundaries(
    model: Classifier, images: Images, labels: Labels, count: int, norm: Norm
) -> tuple[Tensor, Tensor]:
    """Return the wrong classes by growing ``boundary_distances``, and these.

    Both are (batch, at most count); the classes are int64.

    Only those of the ``2 * count`` largest logits are looked at. Where distances are equal, the
    class of the larger logit comes first.

    Raises:
        ModelError: there is only one class, or as ``boundary_distances``.
        LabelError: a label is none of the classes.
    """
    likely = wrong_classes(model, images, labels)[:, : LOOKED_AT * count]
    distances = boundary_distances(model, images, labels, likely, norm)
    order = distances.argsort(dim=1, stable=True)[:, :count]
    return likely.gather(1, order), distances.gather(1, order)
