"""Values of an accelerator's tensors are judged late, but always and in order."""

from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor

from steadygrad import pending_checks
from steadygrad.checks import check_images, check_labels
from steadygrad.errors import ImageError, LabelError
from steadygrad.pending_checks import judge_values, settle_checks


class SlowDevice:
    """Stands in for CUDA: numbers arrive when ``finished`` says so."""

    def __init__(self) -> None:
        self.finished, self.waits = 0, 0
        self.sent = 0

    def send(
        self, values: Tensor, judge: Callable[[Sequence[float]], None]
    ) -> "pending_checks._Travelling":
        number = self.sent
        self.sent += 1

        def wait() -> None:
            self.waits += 1
            self.finished = max(self.finished, number + 1)

        return pending_checks._Travelling(values, judge, lambda: self.finished > number, wait)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDevice]:
    slow = SlowDevice()
    monkeypatch.setattr(pending_checks, "_arrives_late", lambda _: True)
    monkeypatch.setattr(pending_checks, "_send", slow.send)
    yield slow
    pending_checks._PENDING.clear()


def refuse(values: Sequence[float]) -> None:
    raise ImageError(f"refused {values[0]}")


def test_on_the_cpu_values_are_judged_at_once() -> None:
    with pytest.raises(ImageError, match="refused 3"):
        judge_values(torch.tensor([3]), refuse, wait=False)


def test_late_values_are_judged_once_they_have_arrived(device: SlowDevice) -> None:
    bad, good = torch.full((1, 1, 2, 2), 7.0), torch.rand(1, 1, 2, 2)
    check_images(bad, wait=False)
    check_images(good, wait=False)
    assert device.waits == 0
    device.finished = 1
    with pytest.raises(ImageError, match="from 7 to 7"):
        check_images(good, wait=False)
    settle_checks()  # an error leaves nothing behind
    assert device.waits == 0


def test_settling_waits_for_all_of_them(device: SlowDevice) -> None:
    check_images(torch.rand(1, 1, 2, 2), wait=False)
    check_labels(torch.tensor([3, 12]), 2, 10, wait=False)
    with pytest.raises(LabelError, match="labels from 0 to 9, got 12"):
        settle_checks()
    assert device.waits == 2


def test_a_caller_who_waits_hears_at_once(device: SlowDevice) -> None:
    with pytest.raises(LabelError, match="0 or more, got -1"):
        check_labels(torch.tensor([-1]), 1)
    assert device.sent == 0


def test_a_lagging_device_is_waited_for_in_the_end(device: SlowDevice) -> None:
    for _ in range(pending_checks.MOST_PENDING + 5):
        judge_values(torch.zeros(1), lambda _: None, wait=False)
    assert device.waits == 5
    assert len(pending_checks._PENDING) == pending_checks.MOST_PENDING


def test_shape_and_dtype_are_refused_at_once_everywhere(device: SlowDevice) -> None:
    with pytest.raises(ImageError, match="floating point"):
        check_images(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), wait=False)
    with pytest.raises(LabelError, match=r"shape \(2,\)"):
        check_labels(torch.zeros(1, dtype=torch.int64), 2, wait=False)


def test_nothing_waits_in_a_training_step(device: SlowDevice) -> None:
    from steadygrad.penalties import SquaredNormPenalty

    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    for _ in range(3):
        SquaredNormPenalty(strength=0.1)(model, torch.rand(2, 1, 2, 2), torch.tensor([0, 2]))
    assert device.sent == 6
    assert device.waits == 0
