"""The measurement of import times runs and names what it measured."""

import import_time
import pytest
from import_time import Seconds


def test_commands_are_timed_in_processes_of_their_own() -> None:
    found = import_time.median_seconds({"nothing": ["-c", ""], "sum": ["-c", "sum([])"]}, repeats=1)
    assert list(found) == ["nothing", "sum"]
    assert all(seconds.wall > 0 and seconds.processor > 0 for seconds in found.values())


def test_prints_what_comes_beyond_torch_and_its_share_of_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(commands: dict[str, list[str]], repeats: int) -> dict[str, Seconds]:
        return {
            name: Seconds(1.0, 2.0) if name == "torch" else Seconds(1.25, 2.5) for name in commands
        }

    monkeypatch.setattr(import_time, "median_seconds", measured)
    import_time.main(["--repeats", "1"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    beyond = ["0.25", "s", "0.50", "s"]
    assert ["steadygrad.penalties,", "beyond", "torch", *beyond, "0.1", "25%"] in lines
    assert ["steadygrad", "--help", "1.25", "s", "2.50", "s", "1", "125%"] in lines
