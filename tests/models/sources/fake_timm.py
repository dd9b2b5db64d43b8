"""A stand-in for timm: one architecture, a data configuration, weights that need a network."""

from types import ModuleType
from typing import Any

from torch import nn

__all__ = ["fake_timm"]


class TinyNet(nn.Module):
    def __init__(self, num_classes: int = 7) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stem, self.act = nn.Conv2d(3, 4, 3), nn.ReLU()
        self.head = nn.Linear(4, num_classes)

    def forward(self, x: Any) -> Any:
        return self.head(self.act(self.stem(x)).mean(dim=(2, 3)))


def fake_timm() -> dict[str, ModuleType]:
    """Return what stands in ``sys.modules``."""
    timm, data = ModuleType("timm"), ModuleType("timm.data")

    def create_model(name: str, pretrained: bool = False, **settings: Any) -> nn.Module:
        if name != "tinynet":
            raise RuntimeError(f"Unknown model ({name})")
        if pretrained:
            raise ConnectionError("no route to host")
        return TinyNet(**settings)

    vars(timm).update(create_model=create_model, list_models=lambda: ["tinynet"])
    vars(data).update(
        resolve_model_data_config=lambda model: {
            "input_size": (3, 16, 16),
            "mean": (0.5, 0.4, 0.3),
            "std": (0.2, 0.25, 0.5),
            "crop_pct": 0.9,
        },
        infer_imagenet_subset=lambda model: None,
    )
    return {"timm": timm, "timm.data": data}
