"""The scripts of ``examples/`` do what they say, shortened."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from steadygrad.attacks import ATTACKS

EXAMPLES = Path(__file__).parents[1] / "examples"


def script(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def keep_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an example registers ends with its test."""
    for registry in ("_classes", "_names", "_about"):
        monkeypatch.setattr(ATTACKS, registry, dict(getattr(ATTACKS, registry)))


def test_a_loop_of_your_own_ends_in_a_robust_network() -> None:
    assert script("own_loop").main(epochs=2) > 0.3


def test_hardening_makes_a_trained_network_more_robust(tmp_path: Path) -> None:
    before, after = script("harden_pretrained").main(tmp_path / "hardened", epochs=3)
    assert after > before + 0.03
    assert "before" in (tmp_path / "hardened" / "report.md").read_text()


def test_an_audit_ends_a_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = script("audit_in_ci")
    assert example.main(tmp_path / "audit") == 0
    assert example.main(tmp_path / "audit", least=0.99) == 1  # nothing is attacked again
    assert "failed: expected an interval from at least 99.0%" in capsys.readouterr().out


def test_an_attack_of_your_own_is_weaker_than_pgd() -> None:
    found = script("custom_attack").main(epochs=2)
    assert found["pgd"] < found["blur"] <= 1


def test_the_structured_penalty_helps_under_the_noise_of_its_covariance() -> None:
    found = script("structured_noise").main(epochs=4)
    assert found["structured"] > found["no penalty"] + 0.03
    assert found["structured"] > found["white"] + 0.03
