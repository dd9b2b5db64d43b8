"""The worst case of several attacks against plain countings."""

import torch

from steadygrad.attacks import PGD
from steadygrad.experiments.worst_case import BatteryAttack, attack_in_turn, worst_case_battery


def test_attacks_meet_what_is_left_and_each_broken_image_counts_once() -> None:
    def model(images: torch.Tensor) -> torch.Tensor:
        bright = images.mean(dim=(1, 2, 3))
        return torch.stack([0.5 - bright, bright - 0.5], dim=1)

    levels = torch.tensor([0.9, 0.55, 0.7, 0.2])
    images = levels.view(4, 1, 1, 1).expand(4, 1, 4, 4).contiguous()
    labels = torch.ones(4, dtype=torch.int64)
    battery = (
        BatteryAttack("Short", "short", PGD(eps=0.1, steps=1)),
        BatteryAttack("Far", "far", PGD(eps=0.25, steps=5)),
    )
    worst = attack_in_turn(model, images, labels, battery, 0.25)
    assert (worst.n, worst.correct) == (4, 3)
    assert worst.broken_by == {"short": 1, "far": 1}
    assert worst.point.correct == 1


def test_the_battery_has_four_kinds() -> None:
    assert [member.title for member in worst_case_battery(0.1)] == [
        "PGD(50), 2 restarts",
        "PGD(20) on the margin, to every class",
        "APGD(100)",
        "Square, 5,000 queries",
    ]
