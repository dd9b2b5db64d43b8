"""A GPU computes what the CPU computes, resumes exactly, and is never waited for in a step."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from device_suite.agreement import agreement_checks

CHECKS = dict(agreement_checks(torch.device("cuda")))

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_the_gpu_agrees_with_the_cpu(check: Callable[[], dict[str, Any]]) -> None:
    skipped = check().get("skipped")
    if skipped:
        pytest.skip(skipped)


def test_a_read_is_noticed() -> None:
    from device_suite.waiting import refusing_to_wait

    number = torch.ones((), device="cuda")
    with refusing_to_wait(torch.device("cuda")), pytest.raises(RuntimeError):
        number.item()
