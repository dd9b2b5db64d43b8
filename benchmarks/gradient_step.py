"""One training step without the optimizer, which costs every contestant the same."""

from collections.abc import Callable

from torch import Tensor, nn

__all__ = ["GradientStep", "gradient_step"]

GradientStep = Callable[[], None]


def gradient_step(model: nn.Module, loss: Callable[[], Tensor]) -> GradientStep:
    """Return what computes the loss and its gradient by every parameter of the model."""

    def run() -> None:
        model.zero_grad(set_to_none=True)
        loss().backward()  # type: ignore[no-untyped-call] # torch leaves it untyped

    return run
