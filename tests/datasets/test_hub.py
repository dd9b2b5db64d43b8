"""Laws of steadygrad.datasets.hub, with a stand-in for the hub's client: nothing is downloaded."""

import shutil
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from steadygrad.datasets import dataset_entry, dataset_names, load_dataset
from steadygrad.errors import DatasetError


class Hub:
    """What the client would do: its cache, whether it can be reached, and what was asked of it."""

    def __init__(self, folder: Path, copy_from: Path) -> None:
        self.folder, self.copy_from = folder, copy_from
        self.failure: Exception | None = None
        self.asked: list[str] = []

    def dataset_info(self, hub_id: str, timeout: float) -> None:
        assert timeout <= 10
        self.asked.append(f"info {hub_id}")
        if self.failure:
            raise self.failure

    def snapshot_download(
        self,
        hub_id: str,
        *,
        repo_type: str,
        allow_patterns: list[str],
        local_files_only: bool = False,
    ) -> str:
        assert repo_type == "dataset"
        if local_files_only:
            if not self.folder.exists():
                raise LocalEntryNotFoundError("not there")
        else:
            self.asked.append(f"download {hub_id} {' '.join(allow_patterns)}")
            inside = allow_patterns[0].partition("/")[0]
            shutil.copytree(self.copy_from, self.folder / inside, dirs_exist_ok=True)
        return str(self.folder)


@pytest.fixture
def hub(tmp_path, mnist_like, monkeypatch) -> Hub:
    stand_in = Hub(tmp_path / "snapshot", mnist_like[0] / "mnist")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: stand_in)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", stand_in.snapshot_download)
    return stand_in


def test_a_known_set_is_downloaded_once(hub: Hub) -> None:
    assert len(load_dataset("mnist", "test")) == 10
    assert len(load_dataset("mnist", "train")) == 20
    patterns = "mnist/train-*.parquet mnist/test-*.parquet"
    assert hub.asked == ["info ylecun/mnist", f"download ylecun/mnist {patterns}"]


def test_what_the_client_keeps_needs_no_network(hub: Hub) -> None:
    load_dataset("mnist", "test")
    hub.failure = ConnectionError("no route")
    assert len(load_dataset("mnist", "test")) == 10


def test_half_a_download_is_completed(hub: Hub) -> None:
    (hub.folder / "mnist").mkdir(parents=True)
    assert len(load_dataset("mnist", "test")) == 10


@pytest.mark.parametrize("failure", [ConnectionError("x"), TimeoutError("x"), RuntimeError("x\ny")])
@pytest.mark.parametrize("name", [name for name in dataset_names() if dataset_entry(name).hub_id])
def test_without_a_network_one_sentence_says_what_to_do(
    hub: Hub, name: str, failure: Exception
) -> None:
    hub.failure = failure
    with pytest.raises(DatasetError) as caught:
        load_dataset(name, "test")
    entry, message = dataset_entry(name), str(caught.value)
    assert f"cannot get {name} from the Hugging Face hub ({type(failure).__name__})" in message
    assert f"{entry.hub_folder}/train-*.parquet" in message
    assert f"https://huggingface.co/datasets/{entry.hub_id} into DIR/{name}" in message
    assert "--data-dir DIR" in message
    assert "\n" not in message
    assert hub.asked == [f"info {entry.hub_id}"]


def test_the_partial_svhn_is_not_looked_for(hub: Hub) -> None:
    with pytest.raises(DatasetError, match=r"no copy of svhn_10k.*DIR/svhn_10k.*on no hub"):
        load_dataset("svhn_10k", "test")
    assert hub.asked == []
