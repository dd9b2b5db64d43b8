"""When derivatives written by hand apply."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

from steadygrad.layers import BatchNorm2d
from steadygrad.layers.hand_written import elementwise
from steadygrad.layers.hand_written.applicability import applies

X = torch.ones(2, 3)


@pytest.mark.parametrize(
    "tensors",
    [(X,), (X.double(),), (X, None), (X, nn.Parameter(X)), (X.t(), X[:, 1:])],
    ids=["float32", "float64", "no bias", "parameter", "views"],
)
def test_plain_tensors_in_plain_autograd(tensors: tuple[Tensor | None, ...]) -> None:
    assert applies(*tensors)


class Marked(Tensor):
    """Someone's own."""


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_everything_else_is_pytorchs() -> None:
    others = {
        "dtype": X.half(),
        "integers": X.long(),
        "complex": X.cfloat(),
        "empty": X[:0],
        "subclass": X.as_subclass(Marked),
        "parameter of a subclass": nn.Parameter(X.as_subclass(Marked)),
        "sparse": X.to_sparse(),
        "nested": torch.nested.nested_tensor([X, X[:1]]),
        "no data": X.to("meta"),
    }
    assert [name for name, x in others.items() if applies(x)] == []
    assert not applies(X, X.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert not applies(X)
    seen: list[bool] = []
    vmap(lambda row: seen.append(applies(row)) or row)(X)
    assert seen == [False]


def test_batch_norm_keeps_its_statistics_while_they_are_not_tracked() -> None:
    """A finite difference runs the network several times a step, and turns tracking off for it."""
    for momentum in (0.1, None):
        layer, x = BatchNorm2d(3, momentum=momentum), torch.randn(4, 3, 2, 2, requires_grad=True)
        layer(x)
        before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
        layer.track_running_stats = False
        torch.testing.assert_close(
            layer(x), nn.functional.batch_norm(x, None, None, layer.weight, layer.bias, True)
        )
        layer.track_running_stats = True
        for name, buffer in layer.named_buffers():
            assert torch.equal(buffer, before[name])
        layer(x)
        assert layer.num_batches_tracked == 2


def test_batch_norm_is_the_same_an_example_at_a_time_and_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a GPU, through the same code."""
    found = []
    for devices in (("cpu",), ()):
        monkeypatch.setattr(elementwise, "DEVICES_IN_PIECES", devices)
        torch.manual_seed(0)
        layer = BatchNorm2d(3).double()
        x = torch.randn(4, 3, 2, 5, dtype=torch.float64, requires_grad=True)
        loss = layer(x).pow(3).sum()
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        total = loss + gradient.square().sum()
        found.append(torch.autograd.grad(total, (x, *layer.parameters())))
    torch.testing.assert_close(*found)
