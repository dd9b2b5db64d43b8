"""Counting what an attack asks of a model: images sent forward, and images differentiated."""

from typing import Any

from torch import Tensor, nn

from steadygrad._typing import Classifier

__all__ = ["QueryCount"]


class QueryCount(nn.Module):
    """The model as it is, with two counters; attributes not of its own come from the model.

    queries: images sent through the model so far.
    gradients: images whose outputs a backward pass has gone through so far, each time anew. A
        forward pass that is never differentiated adds nothing, whatever the grad mode.
    """

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model
        self.training = getattr(model, "training", False)
        self.queries = self.gradients = 0

    def forward(self, images: Tensor) -> Tensor:
        """Return ``model(images)``."""
        self.queries += len(images)
        logits = self.model(images)
        if isinstance(logits, Tensor) and logits.requires_grad:
            count = len(images)

            def add(_: Tensor) -> None:
                self.gradients += count

            logits.register_hook(add)  # type: ignore[no-untyped-call] # torch leaves it so
        return logits

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model":  # not there yet: nothing to ask
                raise
            return getattr(self.model, name)
