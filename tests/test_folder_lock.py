"""One writer for a folder: a second process gets a sentence, and a dead one leaves no lock."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from steadygrad.errors import OutputError
from steadygrad.folder_lock import LOCK_NAME, only_writer

_HOLDER = """
import sys
from pathlib import Path
from steadygrad.folder_lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("holds it", flush=True)
    sys.stdin.readline()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Return a process that writes into the folder until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "holds it\n"
    return process


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with holder(folder) as first:
        with (
            pytest.raises(OutputError, match=r"another process is writing into .*run; wait"),
            only_writer(folder),
        ):
            pass
        first.communicate("\n", timeout=60)
    with only_writer(folder):
        (folder / "result").write_text("")
    assert [path.name for path in folder.iterdir()] == ["result"]


def test_who_is_patient_waits_for_the_other(tmp_path: Path) -> None:
    with holder(tmp_path / "made") as first:
        threading.Timer(0.2, first.kill).start()
        with only_writer(tmp_path / "made", patience=60):
            assert first.wait(60) != 0


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        first.kill()
    assert (tmp_path / LOCK_NAME).exists()
    with only_writer(tmp_path):
        pass
    assert not (tmp_path / LOCK_NAME).exists()


def test_an_error_inside_ends_it_and_a_folder_made_for_nothing_goes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), only_writer(tmp_path / "new"):
        raise ValueError("inside")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"), only_writer(tmp_path / "file"):
        pass
