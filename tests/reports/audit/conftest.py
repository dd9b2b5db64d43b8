"""Made-up audits, to be looked at in pages and tables."""

from collections.abc import Callable

import pytest

from made_up_audit import made_up_audit
from steadygrad.evaluation.auditing.result import AuditResult


@pytest.fixture
def make_result() -> Callable[..., AuditResult]:
    return made_up_audit


@pytest.fixture(scope="session")
def audited() -> AuditResult:
    """A result to read only."""
    return made_up_audit()
