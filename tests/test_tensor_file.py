"""Files of named tensors: what is whole, and what is not."""

import re
from pathlib import Path

import pytest
import torch

from steadygrad.errors import CheckpointError
from steadygrad.tensor_file import check_is_whole, read_tensors, write_tensors


@pytest.mark.parametrize("tensors", [{}, {"a": torch.zeros(3, 5), "b": torch.zeros(0)}])
def test_a_whole_file_passes_and_no_part_of_it_does(
    tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "tensors.safetensors"
    write_tensors(path, tensors, {"key": "value"})
    check_is_whole(path)
    data = path.read_bytes()
    for part in (data[:-1], data[:9], data[:3], b"", data + b"x", b"\xff" * 8 + data, b"[]" * 40):
        path.write_bytes(part)
        for read in (check_is_whole, read_tensors):
            with pytest.raises(CheckpointError, match=re.escape(str(path))):
                read(path)
    with pytest.raises(CheckpointError, match="cannot read"):
        check_is_whole(tmp_path / "missing")
