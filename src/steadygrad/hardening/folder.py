"""The folder of a hardening: where things lie, and the network before, which it keeps."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from steadygrad.errors import CheckpointError, OutputError
from steadygrad.models import ModelSpec, save_model
from steadygrad.store import make_folder
from steadygrad.tensor_file import read_tensors
from steadygrad.training import RunFolder

__all__ = ["HardeningFolder"]


@dataclass(frozen=True)
class HardeningFolder:
    """Paths of one hardening, and the rules for beginning and going on in them."""

    path: Path

    @property
    def run(self) -> Path:
        """The training."""
        return self.path / "run"

    @property
    def original(self) -> Path:
        """The network before."""
        return self.path / "original.safetensors"

    @property
    def audits(self) -> Path:
        """Quick audits, before and after."""
        return self.path / "audits"

    @property
    def export(self) -> Path:
        """What ``take_away`` writes."""
        return self.path / "export"

    @property
    def has_begun(self) -> bool:
        """Whether there is a training to go on with."""
        return RunFolder(self.run).config.is_file()

    def check_original(self, network: nn.Module) -> None:
        """Refuse to go on from another network than the one that is kept.

        Raises:
            CheckpointError: its weights are others, or the file is damaged.
        """
        if not self.original.is_file():
            return
        kept, ours = read_tensors(self.original)[0], network.state_dict()
        if kept.keys() != ours.keys() or any(
            not torch.equal(kept[name], tensor.cpu()) for name, tensor in ours.items()
        ):
            raise CheckpointError(
                f"cannot resume {self.path}: the model's weights are not those it was begun with"
            )

    def begin(self, network: nn.Module, spec: ModelSpec, *, overwrite: bool) -> None:
        """Keep the network before, and remove what is known of a hardening that is replaced.

        Raises:
            OutputError: the folder cannot be written.
        """
        make_folder(self.path)
        if overwrite:
            self._remove_results()
        save_model(self.original, network, spec)

    def _remove_results(self) -> None:
        names = ("report.json", "report.md", "robustness.png", "robustness.svg")
        try:
            for name in names:
                (self.path / name).unlink(missing_ok=True)
            for folder in (self.export, self.audits):
                if folder.is_dir():
                    shutil.rmtree(folder)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error
