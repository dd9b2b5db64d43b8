"""What a layer can do, asked of ours and of PyTorch's in its place; one subject a module."""

from layer_abilities import derivatives, hooks, passes, programs  # each registers its own
from layer_abilities.registry import ABILITIES

__all__ = ["ABILITIES", "derivatives", "hooks", "passes", "programs"]
