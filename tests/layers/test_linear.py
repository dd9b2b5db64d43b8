"""A dense layer is PyTorch's, whoever works out its products."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import grad, vmap

from steadygrad.layers import Linear
from steadygrad.layers import linear as linear_module
from steadygrad.layers.linear import linear

ROWS, WIDTH, OUTPUTS = 64, 256, 96
"""Enough work for oneDNN."""
BOUNDS = {"rtol": 1e-4, "atol": 1e-3}
"""Between float32 sums of some hundred numbers in another order."""

needs_onednn = pytest.mark.skipif(not torch._C._has_mkldnn, reason="this PyTorch has no oneDNN")


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Note the shapes of all products that go to oneDNN."""
    noted: list[tuple[int, ...]] = []
    original = linear_module.onednn_product

    def noting(a: Tensor, b: Tensor) -> Tensor:
        noted.append((len(a), a.shape[1], len(b)))
        return original(a, b)

    monkeypatch.setattr(linear_module, "onednn_product", noting)
    return noted


@contextmanager
def without_onednn() -> Iterator[None]:
    # torch.backends.mkldnn.flags does this too, and warns of Intel's GPUs.
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before)


def pair() -> tuple[Linear, nn.Linear]:
    torch.manual_seed(0)
    ours, theirs = Linear(WIDTH, OUTPUTS), nn.Linear(WIDTH, OUTPUTS)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def penalised(layer: nn.Linear, x: Tensor) -> list[Tensor]:
    """Return output, input gradient and all gradients of a loss with a penalty on the latter."""
    x = x.detach().clone().requires_grad_()
    y = layer(x)
    loss = y.tanh().sum()
    (gx,) = torch.autograd.grad(loss, x, create_graph=True)
    layer.zero_grad()
    (loss + gx.square().sum()).backward()
    assert layer.weight.grad is not None
    assert layer.bias.grad is not None
    assert x.grad is not None
    return [y, gx, layer.weight.grad, layer.bias.grad, x.grad]


@needs_onednn
def test_a_penalised_step_is_pytorchs(products: list[tuple[int, ...]]) -> None:
    x = torch.randn(ROWS, WIDTH)
    for mine, other in zip(*(penalised(layer, x) for layer in pair()), strict=True):
        torch.testing.assert_close(mine, other, **BOUNDS)
    assert len(products) == 6
    assert {tuple(sorted(shape)) for shape in products} == {(ROWS, OUTPUTS, WIDTH)}


@needs_onednn
def test_an_attack_asks_for_two_products(products: list[tuple[int, ...]]) -> None:
    ours, _ = pair()
    x = torch.randn(ROWS, WIDTH, requires_grad=True)
    torch.autograd.grad(ours(x).square().sum(), x)
    assert products == [(ROWS, WIDTH, OUTPUTS), (ROWS, OUTPUTS, WIDTH)]


@needs_onednn
def test_tokens_and_evaluation_go_the_same_way(products: list[tuple[int, ...]]) -> None:
    ours, theirs = pair()
    x = torch.randn(2, ROWS, WIDTH)
    for context in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with context():
            torch.testing.assert_close(ours(x), theirs(x), **BOUNDS)
    assert len(products) == 3


@pytest.mark.parametrize("rows", [1, 3])
def test_small_products_are_pytorchs(products: list[tuple[int, ...]], rows: int) -> None:
    ours, theirs = pair()
    x = torch.randn(rows, WIDTH)
    for mine, other in zip(penalised(ours, x), penalised(theirs, x), strict=True):
        assert torch.equal(mine, other)
    assert products == []


LAYOUTS: dict[str, Callable[[int, int], Tensor]] = {
    "contiguous": torch.randn,
    "transposed": lambda n, k: torch.randn(k, n).t(),
    "a part": lambda n, k: torch.randn(n + 3, k + 5)[2:-1, 1:-4],
    "every other": lambda n, k: torch.randn(2 * n, 3 * k)[::2, ::3],
    "one row": lambda n, k: torch.randn(1, k).expand(n, k),
    "one column": lambda n, k: torch.randn(n, 1).expand(n, k),
    "one number": lambda n, k: torch.randn(()).expand(n, k),
}


@needs_onednn
@pytest.mark.parametrize("of_a", LAYOUTS)
@pytest.mark.parametrize("of_b", LAYOUTS)
def test_layouts_change_nothing(of_a: str, of_b: str) -> None:
    torch.manual_seed(1)
    a, b = LAYOUTS[of_a](ROWS, WIDTH), LAYOUTS[of_b](OUTPUTS, WIDTH)
    exact = (a.double() @ b.double().t()).float()
    torch.testing.assert_close(linear(a, b), exact, **BOUNDS)


@needs_onednn
@settings(deadline=None, max_examples=30)
@given(rows=st.integers(4, 40), width=st.integers(1, 700), outputs=st.integers(1, 700))
def test_the_sum_of_a_product_is_that_of_its_factors(rows: int, width: int, outputs: int) -> None:
    """1' (a b') 1 = (1' a) (1' b)', whichever way it is computed."""
    a, b = torch.rand(rows, width), torch.rand(outputs, width)
    expected = a.double().sum(dim=0) @ b.double().sum(dim=0)
    torch.testing.assert_close(linear(a, b).double().sum(), expected, rtol=1e-5, atol=0)


@needs_onednn
def test_an_image_does_not_see_the_others() -> None:
    ours, _ = pair()
    x = torch.randn(ROWS, WIDTH)
    with torch.no_grad():
        together = ours(x)
        halves = torch.cat([ours(half) for half in x.split(ROWS // 2)])  # type: ignore[no-untyped-call] # torch leaves it untyped
        assert torch.equal(together, ours(x))
    torch.testing.assert_close(together, halves, rtol=1e-4, atol=1e-5)


def test_derivatives_of_every_order(monkeypatch: pytest.MonkeyPatch) -> None:
    # oneDNN has no float64, which these checks need: its product is written out.
    monkeypatch.setattr(linear_module, "_is_for_onednn", lambda x, weight: True)
    monkeypatch.setattr(
        linear_module, "onednn_product", lambda a, b: torch.einsum("nk,mk->nm", a, b)
    )
    torch.manual_seed(2)
    shapes = ((2, 2, 3), (4, 3), (4,))
    x, weight, bias = (torch.randn(s, dtype=torch.float64).requires_grad_() for s in shapes)

    def value(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return linear(x, weight, bias).tanh()

    def input_gradient(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.autograd.grad(value(x, weight, bias).sum(), x, create_graph=True)[0]

    assert gradcheck(value, (x, weight, bias))
    assert gradgradcheck(value, (x, weight, bias))
    assert gradgradcheck(input_gradient, (x, weight, bias))


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    ours, _ = pair()
    ours.weight.requires_grad_(False)
    ours(torch.randn(ROWS, WIDTH)).sum().backward()
    assert ours.weight.grad is None
    torch.testing.assert_close(ours.bias.grad, torch.full((OUTPUTS,), float(ROWS)))


def test_other_dtypes_and_transforms_are_pytorchs(products: list[tuple[int, ...]]) -> None:
    ours, theirs = pair()
    x = torch.randn(ROWS, WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(x).dtype == torch.bfloat16
    assert ours(x[0]).shape == (OUTPUTS,)
    assert ours(x[:0]).shape == (0, OUTPUTS)
    assert ours.double()(x.double()).dtype == torch.float64
    ours.float()
    with without_onednn():
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=0)

    def total(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
        return lambda rows: layer(rows).square().sum()

    x = x.reshape(2, -1, WIDTH)
    gradients = [vmap(grad(total(layer)))(x) for layer in (ours, theirs)]
    torch.testing.assert_close(*gradients)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.requires_grad_(), x)
        moved = [forward_ad.unpack_dual(layer(dual)).tangent for layer in (ours, theirs)]
    torch.testing.assert_close(*moved)
    assert products == []


def test_errors_are_pytorchs() -> None:
    ours, _ = pair()
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        ours(torch.zeros(ROWS, WIDTH + 1))
    with pytest.raises(RuntimeError, match="same dtype"):
        ours(torch.zeros(ROWS, WIDTH, dtype=torch.float64))
