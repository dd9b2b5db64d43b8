"""Laws of steadygrad.datasets.progress."""

import pytest

from steadygrad.datasets import progress


def test_everything_passes_through_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track_if_slow(range(1000), 1000, "reading")) == list(range(1000))
    assert capfd.readouterr() == ("", "")


def test_long_work_off_a_terminal_stays_silent(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOOK_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    assert len(list(progress.track_if_slow(range(1000), 1000, "reading"))) == 1000
    assert capfd.readouterr() == ("", "")


def test_long_work_on_a_terminal_shows_a_bar_on_standard_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOOK_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert len(list(progress.track_if_slow(range(1000), 1000, "reading"))) == 1000
    output, errors = capfd.readouterr()
    assert output == ""
    assert "reading" in errors
