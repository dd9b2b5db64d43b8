"""The panel of the audit's verdicts: its networks and its rates."""

from typing import Any

import pytest
import torch
from audit_verdicts import SOURCES, cases, table_of_rates, table_of_verdicts
from dishonest_models import DISHONEST
from honest_models import HONEST

from steadygrad.evaluation.statistics import wilson_interval


def row(name: str, *, is_honest: bool, status: str, measured: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "data": "digits",
        "is_honest": is_honest,
        "verdict": "masked" if status == "suspicious" else "no sign of masking",
        "findings": {"staircase": [status, measured]},
        "clean": 90.0,
        "worst_case": 50.0,
        "proven": None,
        "informed": 50.0,
    }


def test_rates_count_the_networks_that_a_diagnostic_was_run_on() -> None:
    rows = [
        row("plain", is_honest=True, status="passed", measured=0.25),
        row("plain", is_honest=True, status="suspicious", measured=0.75),
        row("plain", is_honest=True, status="not tested", measured=None),
        row("8 levels", is_honest=False, status="suspicious", measured=0.9),
    ]
    (line,) = (line for line in table_of_rates(rows) if line.startswith("| `staircase`"))
    low, high = (100 * end for end in wilson_interval(1, 2))
    assert f"| 1 of 2 ({low:.0f} to {high:.0f} %) | 0.75 | 1 of 1 (" in line
    assert table_of_rates(rows)[-1].startswith("| verdict *masked* | | 1 of 3 (")
    assert table_of_verdicts(rows)[2].startswith("| plain | digits | 3 | 2 | 0 | 1 | 0 | 90 | 50 |")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_network_has_a_key_of_its_own_and_none_is_trained_before_it_is_asked_for(
    source: Any,
) -> None:
    nothing = torch.empty(0, 1, 8, 8), torch.empty(0, dtype=torch.int64)
    found = [case for seed in (0, 1) for case in cases(source, nothing, seed)]
    assert len({case.key for case in found}) == len(found)
    assert {case.name for case in found if case.is_honest} == set(HONEST)
    dishonest = {case.name for case in found if not case.is_honest}
    assert dishonest == ({*DISHONEST, "k winners"} if source.name == "digits" else set())
