"""Laws of steadygrad.atomic_file."""

import os
from pathlib import Path

import pytest

from steadygrad.atomic_file import write_atomically
from steadygrad.errors import OutputError


def test_the_new_content_replaces_the_old_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    for content in (b"old", b"new"):
        write_atomically(file, content)
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights"]
    assert file.read_bytes() == b"new"


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failure_before_the_rename_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    file = tmp_path / "weights"
    write_atomically(file, b"old")

    def disk_is_full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    owner = os if broken == "fsync" else Path
    monkeypatch.setattr(owner, broken, disk_is_full)
    with pytest.raises(OutputError, match=r"cannot write .*weights: No space left on device"):
        write_atomically(file, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights"]
    assert file.read_bytes() == b"old"


def test_a_kill_between_write_and_rename_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights"
    write_atomically(file, b"old")

    def killed(*_arguments: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Path, "replace", killed)
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    write_atomically(file, b"newer")  # what the kill left behind is in nobody's way
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights"]


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*weights: No such file or directory"):
        write_atomically(tmp_path / "missing" / "weights", b"")


def test_a_file_in_place_of_the_folder_is_one_sentence(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_bytes(b"in the way")
    with pytest.raises(OutputError, match=r"cannot write .*weights: Not a directory"):
        write_atomically(blocker / "weights", b"")
    assert blocker.read_bytes() == b"in the way"


def test_a_folder_that_lets_nothing_be_removed_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refused)
    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(OutputError, match=r"cannot write .*weights: Permission denied"):
        write_atomically(tmp_path / "weights", b"")


def test_a_link_stays_and_the_file_behind_it_is_replaced(tmp_path: Path) -> None:
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir()
    file = folder / "weights"
    file.write_bytes(b"old")
    link.symlink_to(file)
    write_atomically(link, b"new")
    assert link.is_symlink() and file.read_bytes() == b"new"
    assert [entry.name for entry in folder.iterdir()] == ["weights"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "link"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, b"page")
        assert pipe.is_fifo() and os.read(reader, 10) == b"page"
    finally:
        os.close(reader)
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]
