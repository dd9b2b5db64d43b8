"""What was measured of networks is kept by configuration and question, and read back whole."""

import json
from pathlib import Path

import pytest

from digits_recipe import DIGITS
from steadygrad.errors import CheckpointError
from steadygrad.experiments import Measurements, Network

REAL, COMPLEX = DIGITS.plain("real", seed=0), DIGITS.plain("complex", seed=0)
CLEAN = {"asked": "correct", "eps": [0.0, 0.1], "n": 100}


def written(folder: Path, measurements: Measurements) -> Path:
    path = folder / "measurements.json"
    measurements.write(path)
    return path


def noted() -> Measurements:
    measurements = Measurements()
    measurements.note(REAL, CLEAN, {"correct": [99, 50]})
    return measurements


def test_an_answer_is_that_of_the_network_and_of_the_whole_question() -> None:
    measurements = noted()
    assert measurements.find(REAL, dict(CLEAN)) == {"correct": [99, 50]}
    assert measurements.find(REAL, {**CLEAN, "n": 200}) is None
    assert measurements.find(COMPLEX, CLEAN) is None
    assert measurements.find(DIGITS.plain("real", seed=1), CLEAN) is None
    assert measurements.has(REAL)
    assert not measurements.has(COMPLEX)


def test_an_empty_one_is_false_and_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert not Measurements()
    assert noted()
    assert not Measurements.read(tmp_path / "measurements.json")


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    measurements = noted()
    measurements.note(COMPLEX, {"asked": "seconds"}, {"seconds": 0.1 + 0.2})
    before = written(tmp_path, measurements).read_text()
    read = Measurements.read(tmp_path / "measurements.json")
    assert written(tmp_path, read).read_text() == before
    assert read.find(COMPLEX, {"asked": "seconds"}) == {"seconds": 0.1 + 0.2}


def test_what_is_taken_over_keeps_its_date_and_versions(tmp_path: Path) -> None:
    path = written(tmp_path, noted())
    values = json.loads(path.read_text())
    about = values["answers"][0]["values"]
    about |= {"date": "2020-01-01T00:00:00+00:00", "versions": {"a": "1"}}
    path.write_text(json.dumps(values))
    fresh, earlier = Measurements(), Measurements.read(path)
    assert fresh.take_over(REAL, CLEAN, earlier) == {"correct": [99, 50]}
    assert fresh.take_over(REAL, CLEAN, earlier) == {"correct": [99, 50]}
    assert json.loads(written(tmp_path, fresh).read_text()) == values


@pytest.mark.parametrize("is_new", [False, True])
def test_what_was_measured_already_keeps_its_date(tmp_path: Path, is_new: bool) -> None:
    path = written(tmp_path, noted())
    values = json.loads(path.read_text())
    values["answers"][0]["values"]["date"] = "2020-01-01T00:00:00+00:00"
    path.write_text(json.dumps(values))
    again = noted()
    if is_new:
        again.note(REAL, {"asked": "seconds"}, {"seconds": 1.0})
    again.dated_as(Measurements.read(path))
    date = json.loads(written(tmp_path, again).read_text())["answers"][0]["values"]["date"]
    assert date.startswith("2020-01-01") != is_new


@pytest.mark.parametrize("network", [REAL, COMPLEX])
def test_what_was_not_asked_earlier_cannot_be_taken_over(network: Network) -> None:
    with pytest.raises(CheckpointError, match="lack what is needed now; run without"):
        Measurements().take_over(network, {**CLEAN, "n": 200}, noted())


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"answers": {}}',
        '{"answers": [3]}',
        '{"answers": [{"key": {}}]}',
        '{"answers": [{"key": {"asked": "correct"}, "values": {}}]}',
        '{"answers": [{"key": {"asked": "correct", "network": "a"}, "values": {}}]}',
        '{"answers": [{"key": {"attack": 3, "network": "a"}, "values": {}}]}',
        '{"answers": [{"key": {"asked": "when, and by what versions", "network": "a"}, '
        '"values": {"label": "a"}}]}',
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "measurements.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=r"measurements\.json"):
        Measurements.read(path)
