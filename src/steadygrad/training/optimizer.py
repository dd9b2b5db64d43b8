"""The optimizers of the papers' experiments."""

from torch import nn
from torch.optim import SGD, Adam, Optimizer

from steadygrad.training.config import TrainingConfig

__all__ = ["build_optimizer"]


def build_optimizer(config: TrainingConfig, model: nn.Module) -> Optimizer:
    """Return SGD (Nesterov momentum by default) or Adam over the model's trainable parameters.

    Weight decay is added to the gradient in both, as in the papers' code.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if config.optimizer == "adam":
        return Adam(
            parameters, lr=config.rate, eps=config.adam_eps, weight_decay=config.weight_decay
        )
    return SGD(
        parameters,
        lr=config.rate,
        momentum=config.momentum,
        nesterov=bool(config.nesterov),
        weight_decay=config.weight_decay,
    )
