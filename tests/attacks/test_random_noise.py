"""Laws of steadygrad.attacks.random_noise."""

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import PerturbationBall, RandomNoise
from steadygrad.errors import HyperparameterError, UnknownNameError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("distribution", ["uniform", "sign"])
def test_one_draw_asks_the_model_nothing(distribution: str) -> None:
    def never(images: Tensor) -> Tensor:
        raise AssertionError("the model was called")

    images, labels = torch.rand(4, 1, 3, 3, generator=generator(1)), torch.zeros(4).long()
    noisy = RandomNoise(eps=0.2, distribution=distribution)(
        never, images, labels, generator=generator()
    )
    ball = PerturbationBall(images, 0.2)
    draw = ball.draw_uniform if distribution == "uniform" else ball.draw_sign
    assert torch.equal(noisy, draw(generator()))


def test_keeps_the_first_success_else_the_highest_loss(
    trained: nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    images, labels = held_out
    stream, ball = generator(7), PerturbationBall(images, 0.25)
    draws = [ball.draw_sign(stream) for _ in range(6)]
    with torch.no_grad():
        logits = torch.stack([trained(draw) for draw in draws])
    is_wrong = logits.argmax(dim=2) != labels
    losses = -logits.log_softmax(dim=2).gather(2, labels.expand(6, -1).unsqueeze(2)).squeeze(2)

    result = RandomNoise(eps=0.25, distribution="sign", samples=6)(
        trained, images, labels, generator=generator(7)
    )

    for row in range(len(images)):
        wrong = is_wrong[:, row].nonzero().flatten().tolist()
        kept = wrong[0] if wrong else int(losses[:, row].argmax())
        assert torch.equal(result[row], draws[kept][row])
    assert 0 < is_wrong.any(dim=0).sum() < len(images)


def test_unknown_distribution_and_no_samples_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="uniform, sign, got 'gauss'"):
        RandomNoise(eps=0.1, distribution="gauss")
    with pytest.raises(HyperparameterError, match="samples >= 1, got 0"):
        RandomNoise(eps=0.1, samples=0)
