"""Two processes with half the batch each end where one process with the whole batch ends."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from distributed_world import in_processes
from steadygrad.attacks import PGD
from steadygrad.covariance import ExponentialCovariance, RunningCovariance
from steadygrad.distributed import (
    Ranks,
    agree_on,
    any_rank,
    average_over_ranks,
    current_ranks,
    from_furthest_rank,
    gather_rows,
    main_rank_first,
    mean_of_shares,
    same_as_main_rank,
    sum_gradients,
    sum_over_ranks,
)
from steadygrad.draws import ImageDraws
from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.layers import ComplexConv2d
from steadygrad.parallel_models import refuse_static_graph
from steadygrad.penalties import (
    FiniteDifference,
    GradientNormPenalty,
    SquaredNormPenalty,
    Standardized,
    StructuredPenalty,
)

SIZE = 7
"""Images of a batch: not the same number in both processes."""

EXACT = SquaredNormPenalty(strength=0.05)
PENALTIES = {
    "exact": EXACT,
    "L2": SquaredNormPenalty(strength=0.5, norm="l2"),
    "finite difference": SquaredNormPenalty(
        strength=0.05, backend=FiniteDifference(step_size=0.003)
    ),
    "structured": StructuredPenalty(
        strength=0.5, covariance=ExponentialCovariance((1, 8, 8), decay_length=2.0)
    ),
    "standardised": Standardized(penalty=GradientNormPenalty(strength=1.0)),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        ComplexConv2d(1, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(256, 16),
        nn.GELU(),
        nn.Linear(16, 5),
    ).double()


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(SIZE, 1, 8, 8, generator=generator, dtype=torch.float64)
    return images, torch.arange(SIZE) % 5


def train(wrapped: nn.Module, plain: nn.Module, penalty: Any, rows: slice, steps: int = 3) -> Any:
    """Train on some rows of every batch; return the gradients of each step, and the weights."""
    images, labels = batch()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    gradients = []
    for _ in range(steps):
        optimizer.zero_grad()
        own = labels[rows]
        loss = penalty(wrapped, images[rows], own).loss * len(own)
        mean_of_shares(loss, SIZE).backward()  # type: ignore[no-untyped-call]
        gradients.append(torch.cat([whole(p.grad).flatten() for p in plain.parameters()]))
        optimizer.step()
    return gradients, [whole(p.detach()) for p in plain.parameters()]


def attacked(model: nn.Module, rows: slice) -> Tensor:
    images, labels = batch()
    draws = ImageDraws.of(3, torch.arange(SIZE)[rows])
    return PGD(eps=0.1, steps=3)(model, images[rows], labels[rows], generator=draws)


def learning_penalty(structure: str) -> StructuredPenalty:
    covariance = RunningCovariance(structure, decay=0.3)
    return StructuredPenalty(strength=0.5, covariance=covariance, source="gradient")


class AttackTraining:
    """Cross-entropy at PGD examples whose random starts belong to the images."""

    def __init__(self, rows: slice) -> None:
        self.rows = rows

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Any:
        logits = model(attacked(model, self.rows))

        class Result:
            loss = cross_entropy(logits, labels)

        return Result


def whole(tensor: Any) -> Tensor:
    full: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full.detach().clone()


def static_graphs(static: Any) -> dict[str, tuple[Any, Any]]:
    """Models that hold the wrapped network, openly or not, each with a penalty."""
    return {
        "exact": (static, EXACT),
        "finite difference": (static, PENALTIES["finite difference"]),
        "standardised": (static, Standardized(penalty=GradientNormPenalty(strength=1.0))),
        "in a function": (lambda images: static(images), EXACT),
        "bound method": (static.forward, EXACT),
    }


def two_ranks(rank: int) -> dict[str, Any]:
    """Everything that is shown of two processes, in one start of them."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    rows = current_ranks().share(SIZE)
    found: dict[str, Any] = {"ranks": current_ranks()}
    for name, penalty in PENALTIES.items():
        plain = network()
        found[f"DDP, {name}"] = train(DistributedDataParallel(plain), plain, penalty, rows)
        sharded = network()
        mesh = init_device_mesh("cpu", (2,))
        for layer in sharded:
            if list(layer.parameters()):
                fully_shard(layer, mesh=mesh)
        fully_shard(sharded, mesh=mesh)
        found[f"FSDP2, {name}"] = train(sharded, sharded, penalty, rows)
    for structure in ("stationary", "dense", "radial", "block"):
        plain, learning = network(), learning_penalty(structure)
        wrapped = DistributedDataParallel(plain)
        found[f"running, {structure}"] = train(wrapped, plain, learning, rows)
    plain = network()
    wrapped = DistributedDataParallel(plain)
    found["DDP, attack training"] = train(wrapped, plain, AttackTraining(rows), rows)

    static = DistributedDataParallel(network(), static_graph=True)
    for name, (model, penalty) in static_graphs(static).items():
        try:
            penalty(model, *(tensor[rows] for tensor in batch()))
        except ModelError as error:
            found[f"static graph, {name}"] = str(error)

    values = torch.arange(float(SIZE))[rows]
    found["average"] = average_over_ranks(values.mean(), weight=len(values))
    found["weightless"] = average_over_ranks(
        torch.tensor(torch.nan if rank else 0.0), weight=1 - rank
    )
    found["rows"] = gather_rows(values, SIZE)
    found["flags"] = gather_rows(values > 2, SIZE)
    found["agreed"] = agree_on(f"from {rank}")
    found["any"] = any_rank(rank == 1, False)
    generators = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    found["furthest"] = from_furthest_rank(generators[rank].get_state(), steps=rank)
    found["level"] = from_furthest_rank(generators[rank].get_state(), steps=3)
    same = [torch.tensor([[rank == 0]]), torch.full((2, 3), rank + 0.5).T, torch.tensor(1j + rank)]
    same_as_main_rank(same)
    found["same"] = same
    x = torch.tensor([1.0 + rank], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(sum_over_ranks(x) ** 3, x, create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    found["derivatives"] = first.detach(), second
    found["gradients"] = summed_gradients(rank)
    order: list[int] = []
    with main_rank_first():
        order.append(rank)
    found["order"] = order
    try:
        with main_rank_first():
            if rank == 0:
                raise OSError("the disk is full")
    except (OSError, RuntimeError) as error:
        found["failure"] = f"{type(error).__name__}: {error}"
    return found


def summed_gradients(rank: int) -> list[Any]:
    """Return what parameters get of which both processes, the second one or none has a gradient."""
    parameters = [nn.Parameter(torch.zeros(2, dtype=d)) for d in (torch.float32, torch.cfloat) * 3]
    for parameter in parameters[: 4 if rank else 2]:
        parameter.grad = torch.full_like(parameter, 1.0 + rank)
    sum_gradients(parameters)
    return [None if p.grad is None else p.grad.real.tolist() for p in parameters]


@pytest.fixture(scope="module")
def found() -> list[dict[str, Any]]:
    return in_processes(two_ranks)


@pytest.mark.parametrize("kind", ["DDP", "FSDP2"])
@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_in_two_processes_is_that_of_the_whole_batch(
    found: list[dict[str, Any]], kind: str, name: str
) -> None:
    model = network()
    gradients, weights = train(model, model, PENALTIES[name], slice(None))
    for rank in found:
        torch.testing.assert_close(rank[f"{kind}, {name}"][0], gradients, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(rank[f"{kind}, {name}"][1], weights, rtol=1e-9, atol=1e-12)


def test_attack_training_in_two_processes_draws_what_one_draws(found: list[dict[str, Any]]) -> None:
    model = network()
    gradients, _ = train(model, model, AttackTraining(slice(None)), slice(None))
    for rank in found:
        torch.testing.assert_close(
            rank["DDP, attack training"][0], gradients, rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("structure", ["stationary", "dense", "radial", "block"])
def test_a_running_covariance_is_one_for_all_processes(
    found: list[dict[str, Any]], structure: str
) -> None:
    model = network()
    gradients, weights = train(model, model, learning_penalty(structure), slice(None))
    for rank in found:
        torch.testing.assert_close(
            rank[f"running, {structure}"][0], gradients, rtol=1e-9, atol=1e-12
        )
        torch.testing.assert_close(rank[f"running, {structure}"][1], weights, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", static_graphs(network()))
def test_a_static_graph_is_refused(found: list[dict[str, Any]], name: str) -> None:
    for rank in found:
        assert "static_graph=False" in rank[f"static graph, {name}"]


def test_processes_share_average_gather_and_agree(found: list[dict[str, Any]]) -> None:
    for number, rank in enumerate(found):
        assert rank["ranks"] == Ranks(number, 2)
        assert rank["average"] == 3
        assert rank["weightless"] == 0
        assert torch.equal(rank["rows"], torch.arange(float(SIZE)))
        assert torch.equal(rank["flags"], torch.arange(SIZE) > 2)
        assert rank["agreed"] == "from 0"
        assert rank["any"] == (True, False)
        assert torch.equal(rank["furthest"], torch.Generator().manual_seed(6).get_state())
        assert rank["level"] is None
        flag, numbers, number = rank["same"]
        assert flag.item() is True and torch.equal(numbers, torch.full((3, 2), 0.5))
        assert number == 1j


def test_a_gradient_of_one_process_is_one_of_all(found: list[dict[str, Any]]) -> None:
    for rank in found:
        assert rank["gradients"] == [[3, 3], [3, 3], [2, 2], [2, 2], None, None]


def test_a_sum_over_processes_is_differentiated_as_the_sum_of_all_their_losses(
    found: list[dict[str, Any]],
) -> None:
    # Both differentiate (x0 + x1)^3, at 1 + 2: twice its derivative; and that of it, twice again.
    for rank in found:
        first, second = rank["derivatives"]
        assert first.item() == 2 * 3 * 3**2
        assert second.item() == 2 * 2 * 6 * 3


def test_a_failure_of_the_main_process_reaches_the_others(found: list[dict[str, Any]]) -> None:
    assert found[0]["failure"] == "OSError: the disk is full"
    assert found[1]["failure"] == "ProcessError: the main process failed: the disk is full"


def test_one_process_does_the_obvious() -> None:
    assert current_ranks() == Ranks(0, 1)
    assert current_ranks().is_main
    values = torch.arange(3.0)
    assert torch.equal(average_over_ranks(values), values)
    assert torch.equal(gather_rows(values, 3), values)
    assert mean_of_shares(values.sum(), 3) == 1
    assert agree_on("this") == "this"
    assert any_rank(True, False) == (True, False)
    assert from_furthest_rank(values, 1) is None
    assert sum_over_ranks(values) is values
    with main_rank_first():
        pass
    refuse_static_graph(network())


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [0, 1, 7, 64])
def test_shares_cover_everything_once(count: int, size: int) -> None:
    shares = [Ranks(rank, count).share(size) for rank in range(count)]
    covered = [index for share in shares for index in range(size)[share]]
    assert covered == list(range(size))
    lengths = [share.stop - share.start for share in shares]
    assert max(lengths) - min(lengths) <= 1


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(HyperparameterError, match="size of at least 0, got -1"):
        Ranks(0, 1).share(-1)
    with pytest.raises(HyperparameterError, match="3 of 3 rows in process 0, got 2"):
        gather_rows(torch.zeros(2), 3)
    with pytest.raises(HyperparameterError, match="total of at least 1 image, got 0"):
        mean_of_shares(torch.zeros(()), 0)
