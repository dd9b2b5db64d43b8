"""Without the private functions of PyTorch, everything works; only slower."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.layers import GELU, BatchNorm2d, ComplexConv2d, Conv2d, Linear
from steadygrad.layers import linear as linear_module
from steadygrad.layers.hand_written import torch_internals
from steadygrad.layers.hand_written.applicability import applies
from steadygrad.layers.hand_written.torch_internals import (
    engine_will_execute,
    has_batch_norm,
    has_onednn_product,
    is_plain_eager,
    saved_tensors_are_kept,
)

TRIALS = (
    torch_internals._has_convolution_gradients,
    torch_internals._has_gelu_gradient,
    torch_internals._onednn_multiplies,
    torch_internals.has_batch_norm,
)


@pytest.fixture(autouse=True)
def _tried_anew() -> Iterator[None]:
    for trial in TRIALS:
        trial.cache_clear()
    yield
    for trial in TRIALS:
        trial.cache_clear()


def penalised(make: Callable[[], nn.Module], x: Tensor) -> list[Tensor]:
    torch.manual_seed(0)
    layer, x = make().to(x.dtype), x.clone().requires_grad_()
    y = layer(x)
    loss = y.square().tanh().sum()
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    return [
        y,
        gradient,
        *torch.autograd.grad(loss + gradient.square().sum(), (x, *layer.parameters())),
    ]


IMAGES = torch.randn(3, 2, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LAYERS: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "convolution": (lambda: Conv2d(2, 3, 3), IMAGES),
    "patches": (lambda: Conv2d(2, 20, 3, bias=False), IMAGES),
    "batch norm": (lambda: BatchNorm2d(2), IMAGES),
    "gelu": (GELU, IMAGES),
    "complex": (lambda: ComplexConv2d(2, 4, 3, sum_groups=2), IMAGES),
    "linear": (lambda: Linear(4, 3), IMAGES.float()),
}


class Gone:
    """Operators of another version of PyTorch: none has the name, or one has it for another use."""

    def __init__(self, fault: type[Exception]) -> None:
        self.fault = fault

    def __getattr__(self, name: str) -> Any:
        if self.fault is AttributeError:
            raise AttributeError(name)

        def fail(*_: Any) -> Any:
            raise self.fault(f"{name}() has another signature")

        return fail


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("fault", [AttributeError, TypeError, RuntimeError])
def test_operators_that_are_gone_are_replaced(
    name: str, fault: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_module, "_LEAST_WORK", 1)
    expected = penalised(*LAYERS[name])
    torch.testing.assert_close(expected, expected)  # it imports more of torch when first called
    for trial in TRIALS:
        trial.cache_clear()
    monkeypatch.setattr(torch_internals.torch, "ops", Gone(AttributeError))
    monkeypatch.setattr(torch.ops, "aten", Gone(fault), raising=False)
    monkeypatch.setattr(torch.ops, "mkldnn", Gone(fault), raising=False)
    assert not any(trial() for trial in TRIALS)
    torch.testing.assert_close(penalised(*LAYERS[name]), expected)


def test_they_are_there_today() -> None:
    assert all(trial() for trial in TRIALS if trial is not torch_internals._onednn_multiplies)
    assert has_onednn_product() == torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call] # torch leaves it untyped
    assert is_plain_eager() and saved_tensors_are_kept() and has_batch_norm()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(
    "missing",
    [
        "torch._C._are_functorch_transforms_active",
        "torch._C._len_torch_dispatch_stack",
        "torch._C._len_torch_function_stack",
        "torch._C._functorch.is_legacy_batchedtensor",
        "torch.autograd.forward_ad._current_level",
    ],
)
def test_unanswered_questions_lead_to_pytorchs_layers(
    name: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = penalised(*LAYERS[name])
    # Missing for us alone: PyTorch itself calls some of them.
    monkeypatch.setattr(torch_internals, "torch", Without(torch, missing))
    if "forward_ad" in missing:
        monkeypatch.setattr(torch_internals, "forward_ad", object())
    assert not applies(IMAGES)
    torch.testing.assert_close(penalised(*LAYERS[name]), expected)


class Without:
    """A module as it would be without one of its functions, wherever that is."""

    def __init__(self, module: Any, missing: str) -> None:
        self._module, self._missing = module, missing.split(".")[1:]

    def __getattr__(self, name: str) -> Any:
        if [name] == self._missing:
            raise AttributeError(name)
        found = getattr(self._module, name)
        is_on_the_way = len(self._missing) > 1 and name == self._missing[0]
        return Without(found, ".".join(self._missing)) if is_on_the_way else found


@pytest.mark.parametrize("missing", ["torch._C._will_engine_execute_node", "torch._C._autograd"])
def test_an_engine_that_does_not_answer_computes_everything(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {name: penalised(*case) for name, case in LAYERS.items()}
    monkeypatch.setattr(torch_internals, "torch", Without(torch, missing))
    assert engine_will_execute(None)
    for name, case in LAYERS.items():
        torch.testing.assert_close(penalised(*case), expected[name])


def test_modes_hooks_and_devices_are_told_apart() -> None:
    with torch.device("cpu"):
        assert is_plain_eager()
    with torch.overrides.BaseTorchFunctionMode():
        assert not is_plain_eager()
    with torch.autograd.graph.save_on_cpu():
        assert not saved_tensors_are_kept()
    assert is_plain_eager() and saved_tensors_are_kept()
