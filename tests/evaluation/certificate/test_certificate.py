"""Proofs: never above what an attack leaves, exact where the network is linear."""

import warnings
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from steadygrad.attacks import PGD
from steadygrad.attacks.losses import LOSSES
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.certificate import certify, chain_of, proof
from steadygrad.evaluation.certificate.bounds import Region, interval_bounds
from steadygrad.evaluation.certificate.proof import margin_lower_bound
from steadygrad.models import Classifier


def network(kind: str, seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = {
            "dense": [nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU()],
            "conv": [
                nn.Conv2d(1, 3, 3, stride=2, padding=1),
                nn.BatchNorm2d(3),
                nn.ReLU(),
                nn.AvgPool2d(2),
                nn.Dropout(0.5),
                nn.Flatten(),
                nn.Linear(3, 8),
                nn.ReLU(),
            ],
        }[kind]
        model = nn.Sequential(*layers, nn.Linear(8, 3)).eval()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                nn.init.normal_(module.weight)
    return model


def data(seed: int) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return torch.rand(4, 1, 4, 4, generator=draws), torch.randint(0, 3, (4,), generator=draws)


def margin(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return -LOSSES["margin"].away(model(images), labels)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["dense", "conv"]),
    norm=st.sampled_from(["linf", "l2"]),
    eps=st.floats(0.001, 0.5),
    seed=st.integers(0, 1000),
)
def test_no_attack_falls_below_the_bound_and_refining_never_loosens_it(
    kind: str, norm: str, eps: float, seed: int
) -> None:
    model, (images, labels) = network(kind, seed), data(seed)
    chain = chain_of(model, images)
    assert chain is not None
    assert norm in ("linf", "l2")
    first, second = (
        margin_lower_bound(chain, images, labels, eps=eps, norm=norm, is_refined=refined)  # type: ignore[arg-type]
        for refined in (False, True)
    )
    assert (second >= first - 1e-9).all()
    attack = PGD(eps=eps, steps=10, loss="margin", norm=norm)  # type: ignore[arg-type]
    found = attack(model, images, labels, generator=torch.Generator().manual_seed(0))
    assert (second <= margin(model, found, labels) + 1e-4).all()
    assert (second <= margin(model, images, labels) + 1e-5).all()
    found_out = certify(model, images, labels, eps=eps, norm=norm)  # type: ignore[arg-type]
    assert found_out is not None and not found_out.left_out.any()
    assert torch.equal(found_out.proven, second > 1e-5 * (1 + chain(images).abs().amax(dim=1)))
    assert not (found_out.proven & (margin(model, found, labels) < 0)).any()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_linear_network_is_bounded_exactly(norm: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).double()
    images, labels = 0.4 + 0.2 * torch.rand(5, 1, 4, 4).double(), torch.zeros(5, dtype=torch.int64)
    chain = chain_of(model, images)
    assert chain is not None
    found = margin_lower_bound(
        chain,
        images,
        labels,
        eps=0.2,
        norm=norm,  # type: ignore[arg-type]
        is_refined=False,
    )
    weight = (model[1].weight[0] - model[1].weight[1]).detach()
    size = weight.abs().sum() if norm == "linf" else weight.norm()
    # No pixel is nearer than 0.2 to black or white: the ball is not cut off.
    torch.testing.assert_close(found, margin(model, images, labels) - 0.2 * size)


def test_the_ball_is_cut_off_at_black_and_white() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False))
    model[1].weight.data = torch.tensor([[1.0], [-1.0]])
    black = torch.tensor([[[[0.05]]]])
    chain = chain_of(model, black)
    assert chain is not None
    label = torch.tensor([0])
    bound = margin_lower_bound(chain, black, label, eps=0.1, norm="linf", is_refined=False)
    assert bound.item() == pytest.approx(0.0)


@pytest.fixture(scope="module")
def small(digits: tuple[Tensor, Tensor]) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a network of a few units and forty of its images."""
    images, labels = (each[:300] for each in digits)
    torch.manual_seed(0)
    hidden = [nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU()]
    model = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(16, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model.eval(), images[:40], labels[:40]


Small = tuple[nn.Module, Tensor, Tensor]


def test_a_network_worth_certifying_is_certified(small: Small) -> None:
    found = certify(*small, eps=0.01)
    assert found is not None
    assert int(found.proven.sum()) > 30


def first_bound_proves(small: Small, eps: float) -> Tensor:
    model, images, labels = small
    chain = chain_of(model, images)
    assert chain is not None
    bound = margin_lower_bound(chain, images, labels, eps=eps, norm="linf", is_refined=False)
    return bound > 1e-5 * (1 + chain(images).abs().amax(dim=1))


def test_time_that_is_up_leaves_the_rest_unproven_and_says_which(small: Small) -> None:
    whole = certify(*small, eps=0.06, patience=None)
    looks, done = iter(range(100)), []
    # Two batches of the first bound, and three images of the second.
    cut = certify(*small, eps=0.06, is_over=lambda: next(looks) >= 5, progress=done.append)
    assert whole is not None and cut is not None
    first = first_bound_proves(small, 0.06)
    assert cut.is_late and not whole.is_late and not whole.left_out.any()
    assert int(cut.left_out.sum()) == int((~first).sum()) - 3 > 0
    assert sum(done) == 40 - int(cut.left_out.sum())
    assert not (cut.proven & ~whole.proven).any() and not (cut.proven & cut.left_out).any()
    assert (cut.proven | ~first).all()
    # The most promising three: each is proven, as are some that no time was left for.
    assert int(cut.proven.sum()) == int(first.sum()) + 3 < int(whole.proven.sum())
    none = certify(*small, eps=0.06, is_over=lambda: True)
    assert none is not None and none.is_late
    assert not none.proven.any() and none.left_out.all()


def test_rows_that_nobody_asked_for_are_neither_proven_nor_left_out(small: Small) -> None:
    rows = torch.tensor([3, 5, 20])
    some, every = certify(*small, eps=0.01, rows=rows), certify(*small, eps=0.01)
    assert some is not None and every is not None
    assert torch.equal(some.proven.nonzero().squeeze(1), rows[every.proven[rows]])
    assert not some.left_out.any()


def test_many_classes_are_bounded_a_few_at_a_time_alike(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = certify(*small, eps=0.06)
    monkeypatch.setattr(proof, "MOST_NUMBERS", 200)  # three images together, then one class
    few = certify(*small, eps=0.06)
    assert whole is not None and few is not None
    assert torch.equal(whole.proven, few.proven)


def test_the_search_ends_where_nothing_can_be_proven(small: Small) -> None:
    with pytest.raises(HyperparameterError, match="patience >= 1 or None, got 0"):
        certify(*small, eps=0.1, patience=0)
    hopeless = certify(*small, eps=1.0)
    assert hopeless is not None
    assert not hopeless.proven.any()
    assert int(hopeless.left_out.sum()) == 40 - 16 and not hopeless.is_late


class Standardised(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor([0.3]).view(1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.model((x - self.mean) / 0.5)


def test_the_wrapper_that_the_commands_put_around_a_network_is_seen_through() -> None:
    images, _ = data(0)
    model = Classifier(network("conv", 0), mean=[0.3], std=[0.5]).eval()
    chain = chain_of(model, images)
    assert chain is not None
    torch.testing.assert_close(chain(images).float(), model(images))
    # Sixteen pixels there are four by four; what scales images first is no chain.
    assert (
        chain_of(Classifier(network("dense", 0), resize=4).eval(), torch.rand(2, 1, 8, 8)) is None
    )


def pruned(layer: nn.Module) -> nn.Module:
    return prune.l1_unstructured(layer, "weight", amount=0.3)


def pruned_normalisation(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            prune.identity(module, "weight")


WAYS = {
    "pruned": pruned,
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "weight norm by a hook": weight_norm,
    "spectral norm by a hook": spectral_norm,
}


def with_computed_weights(kind: str, way: str) -> tuple[nn.Sequential, nn.Sequential]:
    """Return a network whose layers compute their weights, and one that holds those weights."""
    model, plain = network(kind, 0), network(kind, 0)
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore", FutureWarning)  # the hooks are deprecated, not gone
        torch.manual_seed(0)
        for place, layer in enumerate(model):
            if isinstance(layer, nn.Linear | nn.Conv2d):
                model[place] = WAYS[way](layer)
    pruned_normalisation(model)
    model.eval()(data(0)[0])  # hooks have computed the weights once
    for layer, held in zip(model, plain, strict=True):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            held.weight.data = layer.weight.detach().clone()
    return model, plain


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_weights_that_a_layer_computes_are_bounded_like_weights_that_it_holds(
    kind: str, way: str
) -> None:
    model, plain = with_computed_weights(kind, way)
    images, labels = data(0)
    eps = 0.1
    of_both = []
    for each in (model, plain):
        chain = chain_of(each, images)
        assert chain is not None
        of_both.append(
            margin_lower_bound(chain, images, labels, eps=eps, norm="linf", is_refined=False)
        )
    torch.testing.assert_close(*of_both, rtol=1e-5, atol=1e-5)
    chain = chain_of(model, images)
    assert chain is not None
    lower, upper = interval_bounds(chain, Region.around(images, eps, "linf"))[-1]
    draws = torch.Generator().manual_seed(0)
    for _ in range(200):
        change = eps * (2 * torch.rand(images.shape, generator=draws) - 1).sign()
        with torch.no_grad():
            logits = model((images + change).clamp(0, 1))
        assert (logits >= lower - 1e-5).all() and (logits <= upper + 1e-5).all()


def doubled(*given: Tensor | tuple[Tensor, ...] | nn.Module) -> Tensor:
    output = given[-1]
    assert isinstance(output, Tensor)
    return 2 * output


def own_forward(layer: nn.Module) -> None:
    layer.forward = lambda x: 2 * x.relu()  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.register_forward_hook(doubled),
        lambda layer: layer.register_forward_pre_hook(lambda _, given: (2 * given[0],)),
        own_forward,
    ],
    ids=["hook", "hook before", "own forward"],
)
def test_a_layer_that_something_else_acts_on_has_no_proof(
    change: Callable[[nn.Module], object],
) -> None:
    images, _ = data(0)
    model = network("dense", 0)
    # Without effect on the images that chain and model are compared on: negative before the ReLU.
    model[1].bias.data.fill_(-100.0)
    assert chain_of(model, images) is not None
    change(model[2])
    assert chain_of(model, images) is None


def test_a_hook_around_the_whole_network_is_traced_like_the_rest() -> None:
    images, _ = data(0)
    model = network("dense", 0)
    model.register_forward_hook(lambda _, __, logits: logits.clamp(-100, 100))
    assert chain_of(model, images) is None
    wrapped = Classifier(network("dense", 0)).eval()
    assert chain_of(wrapped, images) is not None
    wrapped.register_forward_pre_hook(lambda _, given: (given[0].clamp(0, 1),))
    assert chain_of(wrapped, images) is None


class Residual(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x + x.relu())


def test_what_is_a_chain_and_what_is_none() -> None:
    images, _ = data(0)
    model = network("dense", 0)
    standardised = chain_of(Standardised(model), images)
    assert standardised is not None
    torch.testing.assert_close(standardised(images).float(), Standardised(model)(images))
    assert chain_of(Residual(model), images) is None
    assert chain_of(nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.GELU()), images) is None
    assert chain_of(lambda x: model(x), images) is None


class Inverted(nn.Module):
    """Turns black to white, by constants of negative sign, before a network."""

    def __init__(self, model: nn.Module, *, divides: bool) -> None:
        super().__init__()
        self.model, self.divides = model, divides

    def forward(self, x: Tensor) -> Tensor:
        return self.model((x / -0.5 if self.divides else x * -2) - 1)


@pytest.mark.parametrize("divides", [False, True])
def test_negative_constants_widen_a_ball_like_positive_ones(divides: bool) -> None:
    images, _ = data(0)
    inverted = Inverted(network("dense", 0), divides=divides).eval()
    plain = network("dense", 0)
    with torch.no_grad():  # the same in the weights of the first layer
        plain[1].bias -= plain[1].weight.sum(dim=1)
        plain[1].weight *= -2
    bounds = []
    for model in (plain, inverted):
        chain = chain_of(model, images)
        assert chain is not None
        bounds.append(interval_bounds(chain, Region.around(images, 0.1, "linf"))[-1])
    torch.testing.assert_close(bounds[0], bounds[1], rtol=1e-5, atol=1e-5)


class OtherWithoutGradients(nn.Module):
    """Is traced with gradients on, and computes something else without them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x * (1 if torch.is_grad_enabled() else 2))


def test_a_chain_that_computes_something_else_than_the_network_proves_nothing() -> None:
    images, _ = data(0)
    assert chain_of(OtherWithoutGradients(network("dense", 0)), images) is None


def test_weights_are_those_of_the_next_pass_and_not_of_the_last() -> None:
    images, _ = data(0)
    model, _ = with_computed_weights("dense", "weight norm by a hook")
    with torch.no_grad():
        model[1].weight_g.mul_(2)  # the layer's weight follows at its next pass
    chain = chain_of(model, images)
    assert chain is not None
    with torch.no_grad():
        torch.testing.assert_close(chain(images).float(), model(images))
