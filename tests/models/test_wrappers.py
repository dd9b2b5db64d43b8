"""Laws of steadygrad.models.wrappers."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn
from torch.distributed import HashStore, destroy_process_group, init_process_group
from torch.nn.parallel import DataParallel, DistributedDataParallel

from steadygrad.errors import ModelError
from steadygrad.models import without_wrappers


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Sequential(nn.Linear(4, 3), nn.GELU()), nn.Linear(3, 2))


KEYS = [*network().state_dict()]


@pytest.fixture
def one_process() -> Iterator[None]:
    init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield
    destroy_process_group()


def compiled(module: nn.Module) -> nn.Module:
    wrapped: nn.Module = torch.compile(module, backend="aot_eager")
    return wrapped


@pytest.mark.parametrize("wrap", [compiled, DataParallel, lambda m: DataParallel(compiled(m))])
def test_the_network_inside_is_the_one_that_was_wrapped(
    wrap: Callable[[nn.Module], nn.Module],
) -> None:
    plain = network()
    assert without_wrappers(plain) is plain
    assert [*wrap(plain).state_dict()] != KEYS
    assert without_wrappers(wrap(plain)) is plain


@pytest.mark.usefixtures("one_process")
def test_a_network_of_ddp_is_unwrapped() -> None:
    plain = network()
    assert without_wrappers(DistributedDataParallel(plain)) is plain


def test_wrapped_modules_inside_are_replaced_in_a_copy() -> None:
    partly, x = network(), torch.rand(5, 4)
    expected = partly(x)
    inner = partly[0]
    inner[0] = compiled(inner[0])
    partly[0] = DataParallel(inner)
    free = without_wrappers(partly)
    assert [*free.state_dict()] == KEYS
    torch.testing.assert_close(free(x), expected)
    assert partly[0].module is inner  # the given one still has its wrappers
    assert free[1].weight is not partly[1].weight


@pytest.mark.usefixtures("one_process")
def test_a_sharded_network_is_refused_in_one_sentence() -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    sharded = network()
    fully_shard(sharded[0], mesh=init_device_mesh("cpu", (1,)))
    with pytest.raises(ModelError, match=r"from before fully_shard \(FSDP\)"):
        without_wrappers(sharded)
