"""Laws of steadygrad.store: answers come back as they went, and damage is named and skipped."""

import math
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch

from steadygrad.errors import CheckpointError, HyperparameterError, OutputError
from steadygrad.store import (
    Answer,
    Store,
    key_digest,
    read_answer,
    read_answers,
    write_answers,
)

KEY = {"asked": "accuracy", "eps": [0.0, 8 / 255], "seed": 0}
TENSORS = {"broken": torch.tensor([True, False]), "shown": torch.rand(2, 1, 3, 3)}


def told(folder: Path) -> tuple[Store, list[str]]:
    sentences: list[str] = []
    return Store(folder, sentences.append), sentences


@pytest.mark.parametrize("tensors", [{}, TENSORS], ids=["values", "tensors"])
def test_an_answer_comes_back_as_it_went(tmp_path: Path, tensors: dict[str, Any]) -> None:
    store = Store(tmp_path / "new" / "folder")
    assert store.get(KEY) is None
    store.put(KEY, {"correct": [3, 2], "mean": math.pi, "largest": math.inf}, tensors)
    # The order of a key's entries, tuples and who asks play no part.
    found = Store(tmp_path / "new" / "folder").get({"seed": 0, **KEY, "eps": (0.0, 8 / 255)})
    assert found is not None
    assert found.values == {"correct": [3, 2], "mean": math.pi, "largest": math.inf}
    assert found.tensors.keys() == tensors.keys()
    assert all(torch.equal(found.tensors[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("other", [{"seed": 1}, {"eps": [0.0]}, {"more": None}, {"seed": 0.5}])
def test_another_key_finds_nothing(tmp_path: Path, other: dict[str, Any]) -> None:
    store = Store(tmp_path)
    store.put(KEY, {})
    assert store.get(KEY | other) is None
    assert key_digest(KEY | other) != key_digest(KEY)


def test_a_later_answer_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, {"n": 1})
    store.put(KEY, {"n": 2})
    found = store.get(KEY)
    assert found is not None and found.values == {"n": 2}
    assert len(list(store)) == 1
    store.discard(KEY)
    assert store.get(KEY) is None and not list(tmp_path.iterdir())


def test_with_another_label_or_without_tensors_it_is_still_the_later_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, {"n": 1}, label="PGD, 8 steps")
    store.put(KEY, {"n": 2}, TENSORS, label="../pgd")
    found = store.get(KEY)
    assert found is not None and found.values == {"n": 2}
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("pgd-") and store.path(KEY) == file


def test_without_a_folder_nothing_is_kept() -> None:
    store = Store(None)
    assert store.put(KEY, {"n": 1}).values == {"n": 1}
    assert store.get(KEY) is None and list(store) == [] and store.path(KEY) is None
    store.discard(KEY)


@pytest.mark.parametrize("tensors", [{}, TENSORS], ids=["values", "tensors"])
@pytest.mark.parametrize("damage", ["empty", "half", "not JSON", "another", "a list"])
def test_a_damaged_file_is_named_and_skipped(
    tmp_path: Path, tensors: dict[str, Any], damage: str
) -> None:
    store, sentences = told(tmp_path)
    store.put(KEY, {"n": 1}, tensors)
    store.put({"other": 1}, {"n": 2}, tensors)
    file, other = store.path(KEY), store.path({"other": 1})
    assert file is not None and other is not None
    whole = file.read_bytes()
    file.write_bytes(
        {
            "empty": b"",
            "half": whole[: len(whole) // 2],
            "not JSON": b"\xff\xfe",
            "another": other.read_bytes(),
            "a list": b"[]",
        }[damage]
    )
    assert store.get(KEY) is None
    assert len(sentences) == 1 and str(file) in sentences[0] and "is damaged" in sentences[0]
    store.put(KEY, {"n": 3}, tensors)
    found = store.get(KEY)
    assert found is not None and found.values == {"n": 3}
    assert len(sentences) == 1


def test_damage_warns_where_nobody_listens(tmp_path: Path) -> None:
    Store(tmp_path).put(KEY, {})
    (file,) = tmp_path.iterdir()
    file.write_text("{")
    with pytest.warns(UserWarning, match="is damaged"):
        assert Store(tmp_path).get(KEY) is None


def test_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(HyperparameterError, match="expected what JSON can hold"):
        store.put({"images": torch.zeros(1)}, {})
    with pytest.raises(HyperparameterError, match="expected what JSON can hold"):
        store.put(KEY, {"when": object()})
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*file"):
        Store(tmp_path / "file").put(KEY, {})


def test_equal_answers_give_equal_bytes(tmp_path: Path) -> None:
    files = []
    for name in "ab":
        store = Store(tmp_path / name)
        store.put(KEY, {"b": 1, "a": 2}, TENSORS)
        files.append(store.path(KEY))
    first, second = files
    assert first is not None and second is not None
    assert first.read_bytes() == second.read_bytes()


def test_growing_tensors_are_there_after_every_change(tmp_path: Path) -> None:
    kept = Store(tmp_path).growing(KEY)
    kept["batch 0"] = torch.tensor([True, False])
    kept["batch 1"] = torch.tensor([False])
    assert set(Store(tmp_path).growing(KEY)) == {"batch 0", "batch 1"}
    del kept["batch 0"]
    again = Store(tmp_path).growing(KEY)
    assert dict(again).keys() == {"batch 1"} and torch.equal(again["batch 1"], kept["batch 1"])
    assert dict(Store(tmp_path).growing({"another": 1})) == {}
    again.discard()
    assert len(again) == 0 and not list(tmp_path.iterdir())


def test_many_answers_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "measurements.json"
    write_answers(path, [Answer(KEY, {"n": 1}), Answer({"b": [1]}, {"n": 2})])
    assert [(one.key, one.values) for one in read_answers(path)] == [
        (KEY, {"n": 1}),
        ({"b": [1]}, {"n": 2}),
    ]
    for text in ("{", "[]", "{}", '{"answers": [1]}', '{"answers": [{"key": {}}]}'):
        path.write_text(text)
        with pytest.raises(CheckpointError, match=r"measurements\.json"):
            read_answers(path)


def _put_often(folder: Path, number: int) -> None:
    store = Store(folder)
    for turn in range(20):
        store.put(KEY, {"number": number, "turn": turn}, {"x": torch.full((500,), number)})


def test_processes_that_share_a_folder_see_whole_answers(tmp_path: Path) -> None:
    store, sentences = told(tmp_path)
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_put_often, args=(tmp_path, n)) for n in (1, 2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        found = store.get(KEY)
        if found is not None:
            assert (found.tensors["x"] == found.values["number"]).all()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    (file,) = tmp_path.iterdir()
    assert read_answer(file).values["turn"] == 19
    assert sentences == []
