"""The measurement of import times runs and names what it measured."""

import import_time
import pytest


def test_commands_are_timed_in_processes_of_their_own() -> None:
    found = import_time.median_seconds({"nothing": ["-c", ""], "sum": ["-c", "sum([])"]}, repeats=1)
    assert list(found) == ["nothing", "sum"]
    assert all(seconds > 0 for seconds in found.values())


def test_prints_what_comes_beyond_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(commands: dict[str, list[str]], repeats: int) -> dict[str, float]:
        return {name: 1.0 if name == "torch" else 1.25 for name in commands}

    monkeypatch.setattr(import_time, "median_seconds", measured)
    import_time.main(["--repeats", "1"])
    assert "steadygrad.penalties: +0.25 s beyond torch" in capsys.readouterr().out
