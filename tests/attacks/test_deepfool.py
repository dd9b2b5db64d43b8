"""DeepFool: exact where the model is linear, and the same as Algorithm 2 where it is not."""

import itertools
import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks.deepfool import DeepFool, relative_perturbation
from steadygrad.errors import HyperparameterError, ImageError, LabelError, ModelError

with warnings.catch_warnings():
    # foolbox imports from a scipy namespace that is on its way out.
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox

SHAPE = (1, 5, 4)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(classes: int = 4) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return nn.Sequential(nn.Flatten(), nn.Linear(20, classes)).double()


def smooth() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return (
            nn.Sequential(
                nn.Flatten(), nn.Linear(20, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 4)
            )
            .double()
            .eval()
        )


def batch(n: int = 12) -> tuple[Tensor, Tensor]:
    # In the middle of the range, where a small perturbation is not clipped.
    images = 0.35 + 0.3 * torch.rand(n, *SHAPE, dtype=torch.float64, generator=seeded(1))
    return images, torch.arange(n) % 4


def algorithm_2(model: nn.Module, image: Tensor, overshoot: float, steps: int) -> Tensor:
    """The paper's Algorithm 2, for one image and without clipping."""
    start = int(model(image[None])[0].argmax())
    total = torch.zeros_like(image)
    moved = image
    for _ in range(steps):
        moved = (image + (1 + overshoot) * total).requires_grad_()
        logits = model(moved[None])[0]
        if int(logits.argmax()) != start:
            return moved.detach()
        gradients = [torch.autograd.grad(f, moved, retain_graph=True)[0] for f in logits]
        best, step = math.inf, total
        for k in range(len(logits)):
            if k == start:
                continue
            w, f = gradients[k] - gradients[start], (logits[k] - logits[start]).item()
            if abs(f) / w.norm().item() < best:
                best, step = abs(f) / w.norm().item(), abs(f) / w.norm().square() * w
        total = total + step
    return (image + (1 + overshoot) * total).detach()


def test_exact_on_a_linear_classifier() -> None:
    model, (images, labels) = linear(), batch()
    adversarial = DeepFool(overshoot=0.02)(model, images, labels)
    weight, logits = model[1].weight.detach(), model(images).detach()
    start = logits.argmax(dim=1)
    for image in range(len(images)):
        distances = [
            (logits[image, start[image]] - logits[image, k])
            / (weight[k] - weight[start[image]]).norm()
            for k in range(4)
            if k != start[image]
        ]
        moved = (adversarial[image] - images[image]).norm()
        torch.testing.assert_close(moved, 1.02 * torch.stack(distances).min())
    assert (model(adversarial).argmax(dim=1) != start).all()


def test_follows_algorithm_2_on_a_nonlinear_network() -> None:
    model, (images, labels) = smooth(), batch()
    adversarial = DeepFool(overshoot=0.001)(model, images, labels)
    assert (adversarial.min() > 0) and (adversarial.max() < 1)
    expected = torch.stack([algorithm_2(model, image, 0.001, 100) for image in images])
    torch.testing.assert_close(adversarial, expected)


def test_as_strong_as_foolbox(trained: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    images, labels = held_out
    # foolbox leaves images alone that the model has wrong; so does leaving the label.
    attack = DeepFool(overshoot=0.02, steps=50, start_from_prediction=False)
    ours = attack(trained, images, labels)
    reference = foolbox.attacks.L2DeepFoolAttack(steps=50, candidates=10, overshoot=0.02)
    model = foolbox.PyTorchModel(trained, bounds=(0, 1), device="cpu")
    theirs, _, broken = reference(model, images, labels, epsilons=None)
    trained.zero_grad(set_to_none=True)
    assert broken.all()
    assert (trained(ours).argmax(dim=1) != labels).all()
    lengths = [(found - images).flatten(start_dim=1).norm(dim=1) for found in (ours, theirs)]
    # foolbox adds 1e-4 to every step.
    assert lengths[0].mean() <= 1.001 * lengths[1].mean()
    assert (lengths[0] - lengths[1]).abs().median() <= 1e-3


def test_changes_the_prediction_within_the_pixel_range_whatever_the_label(
    trained: nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    images, labels = held_out
    start = trained(images).argmax(dim=1)
    adversarial = DeepFool()(trained, images, (labels + 1) % 10)
    assert (trained(adversarial).argmax(dim=1) != start).all()
    assert adversarial.min() >= 0 and adversarial.max() <= 1
    assert adversarial.shape == images.shape and adversarial.dtype == images.dtype


def test_leaving_the_label_spares_what_is_wrong_already(
    trained: nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    images, labels = held_out
    is_wrong = trained(images).argmax(dim=1) != labels
    assert is_wrong.any()
    adversarial = DeepFool(start_from_prediction=False)(trained, images, labels)
    assert torch.equal(adversarial[is_wrong], images[is_wrong])
    assert (trained(adversarial).argmax(dim=1) != labels).all()


def test_more_candidates_never_lengthen_the_way_across_a_linear_model() -> None:
    model, (images, labels) = linear(classes=12), batch()
    lengths = []
    for candidates in (1, 4, 11, 40):
        adversarial = DeepFool(candidates=candidates)(model, images, labels)
        lengths.append((adversarial - images).flatten(start_dim=1).norm(dim=1))
    for fewer, more in itertools.pairwise(lengths):
        assert (more <= fewer + 1e-12).all()
    assert lengths[0].mean() > lengths[2].mean()
    torch.testing.assert_close(lengths[2], lengths[3])


def test_neighbours_in_the_batch_play_no_part() -> None:
    model, (images, labels) = smooth(), batch()
    together = DeepFool()(model, images, labels)
    for row in range(len(images)):
        alone = DeepFool()(model, images[row : row + 1], labels[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone)


def test_leaves_no_trace_on_model_or_inputs() -> None:
    model, (images, labels) = smooth(), batch()
    model[3].train(False)
    model[4].bias.grad = torch.ones(4, dtype=torch.float64)
    modes, before = [module.training for module in model.modules()], images.clone()
    adversarial = DeepFool()(model, images, labels)
    assert torch.equal(images, before) and not adversarial.requires_grad
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(model[4].bias.grad, torch.ones(4, dtype=torch.float64))
    assert all(p.grad is None for p in model.parameters() if p is not model[4].bias)
    assert adversarial.data_ptr() != images.data_ptr()


def test_works_in_inference_mode_and_in_half_precision() -> None:
    model, (images, labels) = smooth(), batch()
    expected = DeepFool()(model, images, labels)
    with torch.inference_mode():
        found = DeepFool()(model, images.clone(), labels.clone())
    assert torch.equal(found.clone(), expected)
    half = DeepFool(overshoot=0.1)(model.bfloat16(), images.bfloat16(), labels)
    assert half.dtype == torch.bfloat16


def test_steps_run_out() -> None:
    model, (images, labels) = smooth(), batch()
    once = DeepFool(steps=1, overshoot=0.0)(model, images, labels)
    kept = model(once).argmax(dim=1) == model(images).argmax(dim=1)
    assert kept.any()
    assert ((once - images).flatten(start_dim=1).norm(dim=1) > 0).all()


def test_constant_logits_move_nothing() -> None:
    images, labels = batch()
    model = nn.Sequential(nn.Flatten(), nn.Linear(20, 4)).double()
    nn.init.zeros_(model[1].weight)
    assert torch.equal(DeepFool()(model, images, labels), images)


def test_a_tie_is_broken() -> None:
    model, (images, labels) = linear(classes=2), batch(1)
    with torch.no_grad():
        model[1].bias.zero_()
        normal = model[1].weight[0] - model[1].weight[1]
        flat = images.flatten(start_dim=1)
        flat -= (flat @ normal / normal.square().sum())[:, None] * normal
        images = flat.view_as(images)
    start = model(images).argmax(dim=1)
    adversarial = DeepFool()(model, images, labels % 2)
    assert model(adversarial).argmax(dim=1) != start
    assert (adversarial - images).norm() < 1e-10


def test_relative_perturbation_is_the_ratio_of_lengths() -> None:
    images = torch.zeros(2, *SHAPE)
    images[0, 0, 0, 0], images[1, 0, 0, :2] = 0.5, torch.tensor([0.3, 0.4])
    adversarial = images.clone()
    adversarial[0, 0, 1, 1] += 0.25
    adversarial[1, 0, 0, :2] = 0.0
    torch.testing.assert_close(relative_perturbation(images, adversarial), torch.tensor([0.5, 1.0]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"overshoot": -0.1}, "overshoot >= 0"),
        ({"overshoot": math.nan}, "overshoot >= 0"),
        ({"steps": 0}, "steps >= 1"),
        ({"candidates": 0}, "candidates >= 1"),
    ],
)
def test_settings_outside_their_range_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        DeepFool(**settings)


def test_bad_input_is_refused() -> None:
    model, (images, labels) = linear(), batch()
    with pytest.raises(ImageError):
        DeepFool()(model, images * 255, labels)
    with pytest.raises(LabelError):
        DeepFool()(model, images, labels + 4)
    with pytest.raises(ModelError, match="2 classes"):
        DeepFool()(linear(classes=1), images, labels * 0)
    with pytest.raises(ModelError, match="finite logits"):
        DeepFool()(lambda x: x.flatten(start_dim=1) * math.nan, images, labels)
    with pytest.raises(ModelError, match="differentiable"):
        DeepFool()(lambda x: torch.rand(len(x), 4, generator=seeded()), images, labels)


def test_a_clamp_that_blocks_half_of_every_step_does_not_leave_the_image_on_the_boundary() -> None:
    # Two classes, w'x + 5 and 0. The black pixels have large weights of their own, and cannot get
    # darker to lower w'x.
    weight = torch.tensor([3.0, -2.0, 4.0, -1.0, 2.0, -3.0, 1.0, -4.0, 2.5])

    def one_logit(images: Tensor) -> Tensor:
        logit = images.flatten(1) @ weight.to(images.dtype) + 5
        return torch.stack((logit, torch.zeros_like(logit)), dim=1)

    images = torch.tensor([0.0, 0.5, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.0]).reshape(1, 1, 3, 3)
    exact = one_logit(DeepFool()(one_logit, images, torch.tensor([0])).double())
    margin = (exact[0, 1] - exact[0, 0]).item()
    assert 10 * torch.finfo(torch.float32).eps < margin < 3e-3


def test_images_beside_a_boundary_lose_their_class_clearly() -> None:
    # Rounded to float32, points of a boundary lie on either side of it, by a rounding or none.
    wide, (images, labels) = linear(), batch(200)
    images = DeepFool(overshoot=0.0)(wide, images, labels).float()
    model = linear().float()
    with torch.no_grad():
        start = model(images).argmax(dim=1)
        logits = model(DeepFool(overshoot=0.0)(model, images, start))
    lead = logits.amax(dim=1) - logits.gather(1, start[:, None])[:, 0]
    rounding = torch.finfo(torch.float32).eps * logits.abs().amax(dim=1)
    assert (lead > 8 * rounding).all()
