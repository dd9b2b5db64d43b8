"""Laws of steadygrad.datasets.hub, with a stand-in for the hub's client: nothing is downloaded."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from steadygrad.datasets import dataset_entry, dataset_names, hub, image_loader, load_dataset
from steadygrad.errors import DatasetError, HyperparameterError

CONVERTED = "refs/convert/parquet"


class Hub:
    """What the client would do: its cache, whether it can be reached, and what was asked of it."""

    def __init__(self, remote: Path, kept: Path) -> None:
        self.remote, self.kept = remote, kept
        self.failure: Exception | None = None
        self.asked: list[str] = []

    def _names(self, revision: str | None) -> list[str]:
        root = self.remote / (revision or "main")
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.parquet"))

    def dataset_info(self, hub_id: str, *, revision: str | None, timeout: float) -> SimpleNamespace:
        assert timeout <= 10
        self.asked.append(f"info {hub_id}")
        if self.failure:
            raise self.failure
        names = ["README.md", *self._names(revision)]
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in names])

    def snapshot_download(
        self,
        hub_id: str,
        *,
        repo_type: str,
        revision: str | None,
        allow_patterns: list[str] | None = None,
        local_files_only: bool = False,
    ) -> str:
        assert repo_type == "dataset"
        kept = self.kept / (revision or "main")
        if local_files_only:
            if not kept.exists():
                raise LocalEntryNotFoundError("not there")
            return str(kept)
        self.asked.append(f"download {hub_id} {' '.join(allow_patterns or [])}")
        for name in allow_patterns or []:
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.remote / (revision or "main") / name, kept / name)
        return str(kept)


@pytest.fixture
def client(tmp_path, mnist_like, monkeypatch) -> Hub:
    remote = tmp_path / "remote"
    shutil.copytree(mnist_like[0] / "mnist", remote / "main" / "mnist")
    stand_in = Hub(remote, tmp_path / "kept")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: stand_in)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", stand_in.snapshot_download)
    return stand_in


def test_a_known_set_is_downloaded_once(client: Hub) -> None:
    assert len(load_dataset("mnist", "test")) == 10
    assert len(load_dataset("mnist", "train")) == 20
    names = [f"mnist/{path.name}" for path in sorted((client.remote / "main/mnist").iterdir())]
    assert client.asked == ["info ylecun/mnist", f"download ylecun/mnist {' '.join(names)}"]


def test_what_the_client_keeps_needs_no_network(client: Hub) -> None:
    load_dataset("mnist", "test")
    client.failure = ConnectionError("no route")
    assert len(load_dataset("mnist", "test")) == 10


@pytest.mark.parametrize("kept", [[], ["train-00000-of-00002"], ["test-00000-of-00001"]])
def test_half_a_download_is_completed(client: Hub, kept: list[str]) -> None:
    (client.kept / "main" / "mnist").mkdir(parents=True)
    for name in kept:
        place = f"main/mnist/{name}.parquet"
        shutil.copy(client.remote / place, client.kept / place)
    assert len(load_dataset("mnist", "train")) == 20


@pytest.mark.parametrize("failure", [ConnectionError("x"), TimeoutError("x"), RuntimeError("x\ny")])
@pytest.mark.parametrize("name", [name for name in dataset_names() if dataset_entry(name).hub_id])
def test_without_a_network_one_sentence_says_what_to_do(
    client: Hub, name: str, failure: Exception
) -> None:
    client.failure = failure
    with pytest.raises(DatasetError) as caught:
        load_dataset(name, "test")
    entry, message = dataset_entry(name), str(caught.value)
    assert f"cannot get {name} from the Hugging Face hub ({type(failure).__name__})" in message
    assert f"{entry.hub_folder}/train-*.parquet" in message
    assert f"https://huggingface.co/datasets/{entry.hub_id} into DIR/{name}" in message
    assert "--data-dir DIR" in message
    assert "\n" not in message
    assert client.asked == [f"info {entry.hub_id}"]


def test_offline_mode_answers_without_asking(monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "nowhere")
    with pytest.raises(DatasetError, match=r"cannot get birds from .* \(OfflineModeIsEnabled\): "):
        load_dataset("hub:someone/birds", "test")


def test_the_partial_svhn_is_not_looked_for(client: Hub) -> None:
    with pytest.raises(DatasetError, match=r"no copy of svhn_10k.*DIR/svhn_10k.*on no hub"):
        load_dataset("svhn_10k", "test")
    assert client.asked == []


@pytest.mark.parametrize("inside", ["", "data", "birds"])
def test_any_set_of_parquet_files_can_be_had(client: Hub, inside: str) -> None:
    (client.remote / "main" / "mnist").rename(client.remote / "main" / (inside or "x"))
    if not inside:
        for path in (client.remote / "main" / "x").iterdir():
            path.rename(client.remote / "main" / path.name)
    dataset = load_dataset("hub:someone/birds", "test", image_size=14)
    assert dataset.name == "birds"
    assert dataset.input_shape == (1, 14, 14)
    assert dataset.class_names == tuple("0123456789")


def test_several_configurations_have_to_be_told_apart(client: Hub) -> None:
    shutil.copytree(client.remote / "main/mnist", client.remote / "main/small")
    with pytest.raises(DatasetError, match="expected config, one of mnist, small, for some/birds"):
        load_dataset("hub:some/birds", "test")
    assert len(load_dataset("hub:some/birds,config=small", "test")) == 10


def test_a_configuration_that_was_downloaded_is_not_taken_for_the_only_one(client: Hub) -> None:
    shutil.copytree(client.remote / "main/mnist", client.remote / "main/small")
    load_dataset("hub:some/birds,config=small", "test")
    with pytest.raises(DatasetError, match="expected config, one of mnist, small, for some/birds"):
        load_dataset("hub:some/birds", "test")
    client.failure = ConnectionError("no route")
    with pytest.raises(DatasetError, match=r"cannot get birds .* name the configuration"):
        load_dataset("hub:some/birds", "test")
    assert len(load_dataset("hub:some/birds,config=small", "test")) == 10


def test_a_revision_is_that_one_or_refused(client: Hub) -> None:
    place = client.remote / CONVERTED
    place.parent.mkdir(parents=True)
    (client.remote / "main").rename(place)
    load_dataset("hub:some/birds,config=mnist", "test")
    for config in ("", ",config=mnist"):
        with pytest.raises(DatasetError, match="expected parquet files in revision old of some/"):
            load_dataset(f"hub:some/birds,revision=old{config}", "test")
    shutil.copytree(place, client.remote / "old")
    assert len(load_dataset("hub:some/birds,revision=old", "test")) == 10
    assert client.kept.joinpath("old").exists()


def test_sets_of_other_kinds_come_as_the_hub_converts_them(client: Hub) -> None:
    for path in (client.remote / "main/mnist").iterdir():
        split, _, number = path.stem.partition("-0000")
        place = client.remote / CONVERTED / "default" / split / f"000{number[0]}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    assert len(load_dataset("hub:some/birds", "train")) == 20
    client.failure = ConnectionError("no route")
    assert len(load_dataset("hub:some/birds", "test")) == 10


def test_a_set_without_parquet_files_is_refused(client: Hub) -> None:
    shutil.rmtree(client.remote)
    with pytest.raises(DatasetError, match=r"expected parquet files .*in some/birds on the hub"):
        load_dataset("hub:some/birds", "train")


def test_a_stream_keeps_nothing(client: Hub, monkeypatch, mnist_like) -> None:
    monkeypatch.setattr(hub, "ADDRESS", f"file://{client.remote}/")
    (client.remote / "some").mkdir()
    (client.remote / "main").rename(client.remote / "some" / "birds")
    monkeypatch.setattr(
        client, "_names", lambda revision: [f"mnist/train-0000{i}-of-00002.parquet" for i in (0, 1)]
    )
    loader = image_loader(
        "hub:some/birds", "train", batch_size=8, channels=1, shuffle=False, streaming=True
    )
    images = torch.cat([images for images, _ in loader])
    assert torch.equal((images[:, 0] * 255).round().byte(), torch.from_numpy(mnist_like[1]))
    assert not client.kept.exists()


@pytest.mark.parametrize("hub_id", ["birds", "some/", "a/b/c"])
def test_a_name_without_an_owner_is_refused(hub_id: str) -> None:
    with pytest.raises(HyperparameterError, match="expected hub:OWNER/NAME, got"):
        load_dataset(f"hub:{hub_id}", "train")
