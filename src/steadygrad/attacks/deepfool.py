"""DeepFool: the shortest way across a decision boundary, found by linearizing again and again."""

from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.attacks.input_gradient import input_gradient
from steadygrad.attacks.labels import first_logits
from steadygrad.attacks.part import attack
from steadygrad.checks import check_finite_losses, check_images, check_labels
from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.model_answer import answer

__all__ = ["DeepFool", "relative_perturbation"]

LEAST_STEP = 1e-4
"""Length of the shortest step, relative to the perturbation so far."""

CLEAR_LEAD = 16
"""Roundings of the largest logit by which another class has to lead before an image has lost its
class: in another batch, logits differ by a few."""


@attack("deepfool", title="DeepFool", family="minimal", norms=("l2",), has_eps=False)
@dataclass(frozen=True, kw_only=True)
class DeepFool:
    """Move each image by about the smallest L2 perturbation that changes its class.

    At each step, with ``f_k`` the logits and k0 the class to leave, go to the nearest boundary of
    the linearized model: ``r += |f_l - f_k0| / |w_l|^2 * w_l`` with ``w_k = grad (f_k - f_k0)`` and
    ``l`` the class of smallest ``|f_k - f_k0| / |w_k|``; the image becomes
    ``clamp(x + (1 + overshoot) r, 0, 1)``, until its class changes.

    overshoot: how far beyond the boundary, relative to ``r``; at least 0.
    steps: linearizations at most, at least 1. An image that keeps its class returns as it is then.
    candidates: boundaries to how many classes, those of the largest logits at the start, are
        looked at; at least 1. Each costs a backward pass a step.
    start_from_prediction: leave the class that the model predicts, whatever the label, which is
        how the measure of robustness is defined. False leaves the label: images that the model
        has wrong stay as they are.
    Raises: HyperparameterError, if one of them is outside its range.
    Source: Moosavi-Dezfooli, Fawzi & Frossard, CVPR 2016 (arXiv:1511.04599), Algorithm 2, with the
        clipping of Roth et al., arXiv:1805.08736, section 7.2.

    A class is lost when another one leads by 16 roundings of the largest logit, so that an image
    that lost it has lost it in another batch too. Where black and white pixels cannot follow, steps
    come ever nearer to the boundary without crossing it: none is therefore shorter than 1e-4 of the
    perturbation, nor than those 16 roundings ask for.

    There is no ``eps``: the length of the perturbation is the result, see
    ``relative_perturbation``. Only images that still hold their class are computed again.
    """

    overshoot: float = 0.02
    steps: int = 100
    candidates: int = 9
    start_from_prediction: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.overshoot < float("inf"):
            raise HyperparameterError(f"expected overshoot >= 0, got {self.overshoot}")
        for name in ("steps", "candidates"):
            if getattr(self, name) < 1:
                raise HyperparameterError(f"expected {name} >= 1, got {getattr(self, name)}")

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,  # noqa: ARG002  (every attack takes one)
    ) -> Images:
        """Return adversarial ``(batch, channels, height, width)``; the inputs stay as they are.

        Raises: ImageError, LabelError, ModelError.
        """
        check_images(images)
        check_labels(labels, len(images))
        images = images.detach()
        classes = self._classes(model, images, labels)
        start = classes[:, 0]
        adversarial, total = images.clone(), torch.zeros_like(images)
        rows = _holding(model, adversarial, start)
        for _ in range(self.steps):
            if len(rows) == 0:
                break
            logits, gradients = _class_gradients(model, adversarial[rows], classes[rows])
            least = LEAST_STEP * total[rows].flatten(start_dim=1).norm(dim=1)
            total[rows] += _to_nearest_boundary(logits, gradients, least).to(total.dtype)
            moved = torch.add(images[rows], total[rows], alpha=1 + self.overshoot)
            adversarial[rows] = moved.clamp_(0, 1)
            # Judged on what would be returned. One more forward pass for those still holding
            # spares the others a backward pass for each class.
            rows = rows[_holding(model, adversarial[rows], start[rows])]
        return adversarial

    def _classes(self, model: Classifier, images: Images, labels: Labels) -> Tensor:
        """Return the class to leave, then the candidates, int64 (batch, 1 + candidates)."""
        logits = first_logits(model, images)
        check_finite_losses(logits.sum(dim=1))
        if logits.shape[1] < 2:
            raise ModelError("expected a model of at least 2 classes to change, got 1")
        check_labels(labels, len(images), logits.shape[1])
        start = logits.argmax(dim=1) if self.start_from_prediction else labels
        start_first = logits.scatter(1, start.unsqueeze(1), torch.inf)
        ranked: Tensor = start_first.argsort(dim=1, descending=True)
        return ranked[:, : self.candidates + 1]


def relative_perturbation(images: Images, adversarial: Images) -> Tensor:
    """Return ``|adversarial - x|_2 / |x|_2`` for each image, (batch,).

    Its mean over a data set under ``DeepFool`` is the measure of robustness rho_adv.
    Source: Moosavi-Dezfooli, Fawzi & Frossard, CVPR 2016, Eq. (2).
    """
    distances = (adversarial - images).flatten(start_dim=1).norm(dim=1)
    return torch.div(distances, images.flatten(start_dim=1).norm(dim=1))


def _holding(model: Classifier, images: Images, start: Labels) -> Tensor:
    """Return the indices of the images that no class leads clearly but ``start``."""
    logits = first_logits(model, images)
    lead = logits - logits.gather(1, start.unsqueeze(1))
    return (lead <= _clear_lead(logits)).all(dim=1).nonzero().squeeze(1)


def _clear_lead(logits: Logits) -> Tensor:
    """Return by how much a class has to lead, (batch, 1), in float32 or wider."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return CLEAR_LEAD * torch.finfo(wide.dtype).eps * wide.abs().amax(dim=1, keepdim=True)


def _class_gradients(model: Classifier, images: Images, classes: Tensor) -> tuple[Logits, Tensor]:
    """Return the logits of each image's ``classes`` and their gradients (batch, classes, ...)."""
    with torch.inference_mode(False), torch.enable_grad():
        # clone: autograd refuses tensors made in inference mode, but takes copies of them.
        images = images.clone().requires_grad_()
        logits = answer(model, images)
        check_finite_losses(logits.detach().sum(dim=1))
        chosen = logits.gather(1, classes.clone())
        gradients = [
            input_gradient(column, images, keep_graph=True) for column in chosen.unbind(dim=1)
        ]
    return chosen.detach(), torch.stack(gradients, dim=1)


def _to_nearest_boundary(logits: Logits, gradients: Tensor, least: Tensor) -> Tensor:
    """Return the shortest step to a boundary of the linearized model, shaped like the images.

    logits, gradients: of the class to leave, then of the others; least: length of the shortest
        step, (batch,).
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    logits, gradients = logits.to(wide), gradients.to(wide)
    slopes = gradients[:, 1:] - gradients[:, :1]
    steepness = slopes.flatten(start_dim=2).norm(dim=2)
    # A tie still has to be broken, clearly.
    margins = (logits[:, :1] - logits[:, 1:]).abs().clamp_min(_clear_lead(logits))
    distances = torch.where(steepness > 0, margins / steepness, torch.inf)
    shortest, nearest = distances.min(dim=1)
    row = torch.arange(len(logits), device=logits.device)
    # Where no class differs in slope there is nowhere to go.
    length = torch.maximum(shortest, least.to(wide))
    factor = torch.where(shortest.isfinite(), length / steepness[row, nearest], 0.0)
    return factor.view(-1, 1, 1, 1) * slopes[row, nearest]
