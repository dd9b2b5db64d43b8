"""Laws of steadygrad.hardening.take_away: what was written works without steadygrad."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from steadygrad.evaluation import AccuracyPoint
from steadygrad.hardening import take_away
from steadygrad.models import Classifier

SCRIPT = """
import sys
import torch
assert not any("steadygrad" in path for path in sys.path), sys.path
from torch import nn
from safetensors.torch import load_file
folder = sys.argv[1]
images = torch.load(folder + "/images.pt")
network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
    nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)).eval()
for state in (load_file(folder + "/state_dict.safetensors"),
              torch.load(folder + "/state_dict.pt", weights_only=True)):
    network.load_state_dict(state)
    torch.save(network((images - 0.5) / 0.25), folder + "/own.pt")
torch.save(torch.export.load(folder + "/model.pt2").module()(images), folder + "/exported.pt")
assert "steadygrad" not in sys.modules
"""


def test_files_load_without_steadygrad(trained: nn.Module, tmp_path: Path) -> None:
    model = Classifier(trained, mean=[0.5], std=[0.25]).eval()
    taken = take_away(model, tmp_path, input_shape=(1, 8, 8), name="digits-network")
    assert {"state_dict.safetensors", "state_dict.pt", "model.pt2"} <= {*taken.files}
    images = torch.rand(5, 1, 8, 8)
    torch.save(images, tmp_path / "images.pt")
    script = tmp_path / "load.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-P", script, tmp_path],
        capture_output=True,
        text=True,
        env={"PATH": "", "PYTHONPATH": ""},
        cwd=tmp_path,
    )
    if "AssertionError" in done.stderr and "sys.path" in done.stderr:  # an editable install
        done = subprocess.run(
            [sys.executable, "-P", "-S", "-c", _without_site(), script, tmp_path],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    for name in ("own", "exported"):
        torch.testing.assert_close(torch.load(tmp_path / f"{name}.pt"), model(images))


def _without_site() -> str:
    """Return a program that runs a script with the libraries but no path of steadygrad's."""
    site = str(Path(torch.__file__).parents[1])
    return (
        "import runpy, sys\n"
        f"sys.path.append({site!r})\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )


@pytest.mark.parametrize(
    ("norm", "eps", "of_index", "of_page"),
    [("linf", 2 / 255, "2/255", "2/255"), ("l2", 0.5, "0.5", r"0.5 (L2)")],
)
def test_the_card_tells_both_accuracies_with_settings(
    trained: nn.Module, tmp_path: Path, norm: str, eps: float, of_index: str, of_page: str
) -> None:
    worst = AccuracyPoint(eps, 25, 50)
    low, high = (100 * end for end in worst.ci95)
    results = {
        "eps": eps,
        "norm": norm,
        "preprocessing": "mean 0.5",
        "data": {"name": "digits", "split": "validation", "n": 50},
        "after": {
            "clean": AccuracyPoint(0.0, 49, 50).to_json(),
            "worst_case": worst.to_json(),
            "worst_case_of": "the quick audit",
        },
    }
    take_away(trained, tmp_path, input_shape=(1, 8, 8), name="net<1>", results=results)
    card = (tmp_path / "hub" / "README.md").read_text()
    assert '- name: "net<1>"' in card and "# net\\<1\\>" in card  # YAML as it is, Markdown escaped
    front = card.split("---")[1]
    assert "model-index:" in front and "value: 0.98" in front and "value: 0.5" in front
    assert f"robust accuracy under the quick audit (eps={of_index}, norm={norm}, n=50)" in front
    assert (
        f"for eps {of_page}. Accuracy with 95 % intervals, on validation images of digits" in card
    )
    assert (
        f"- under the quick audit at this eps: 50.0\u00a0% ({low:.1f}–{high:.1f}), 50 images"
        in card
    )
    assert json.loads((tmp_path / "hub" / "config.json").read_text())["input_shape"] == [1, 8, 8]


class Untraceable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if float(x.detach().sum()) > 1e9:
            return self.linear(x.flatten(1)) * 2
        return self.linear(x.flatten(1))


def test_what_cannot_be_exported_is_left_out_with_a_reason(tmp_path: Path) -> None:
    model = Untraceable().train()
    taken = take_away(model, tmp_path, input_shape=(1, 8, 8))
    assert "model.pt2" not in taken.files and not (tmp_path / "model.pt2").exists()
    assert any(note.startswith("model.pt2 was left out: torch.export ref") for note in taken.notes)
    assert model.training
    if importlib.util.find_spec("onnx") is None:
        assert any("onnx is not installed (pip install onnx" in note for note in taken.notes)
