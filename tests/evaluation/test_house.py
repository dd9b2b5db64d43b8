"""How the rooms of evaluation lean on each other, and by which names it is used."""

import subprocess
import sys

import pytest

import steadygrad
from steadygrad import evaluation
from steadygrad.evaluation import auditing


def imported_by(module: str) -> set[str]:
    """Return every module that is loaded once ``module`` is, in a fresh interpreter."""
    script = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_evaluation_needs_no_training_and_no_report() -> None:
    loaded = imported_by("steadygrad.evaluation")
    assert not {name for name in loaded if name.startswith("steadygrad.training")}
    assert not {name for name in loaded if name.startswith("steadygrad.reports")}


def test_importing_the_package_loads_nothing_but_itself() -> None:
    loaded = imported_by("steadygrad")
    assert {name for name in loaded if name.startswith("steadygrad")} == {"steadygrad"}
    assert "torch" not in loaded


def test_the_audit_has_one_name_everywhere() -> None:
    assert steadygrad.audit is evaluation.audit is auditing.audit
    assert callable(evaluation.audit)
    with pytest.raises(AttributeError, match="no attribute 'audits'"):
        steadygrad.audits  # noqa: B018
