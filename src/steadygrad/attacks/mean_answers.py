"""A random model's answers, averaged over several passes."""

import torch

from steadygrad._typing import Classifier, Images, Logits

__all__ = ["MeanAnswers"]


class MeanAnswers:
    """The mean of a model's logits over ``draws`` passes, at least 1; as differentiable as they."""

    def __init__(self, model: Classifier, draws: int) -> None:
        self.model, self.draws = model, draws

    def __call__(self, images: Images) -> Logits:
        return torch.stack([self.model(images) for _ in range(self.draws)]).mean(dim=0)
