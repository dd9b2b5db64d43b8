"""What is left of the package where its optional libraries are not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from steadygrad.errors import MissingExtraError
from steadygrad.extras import extra

OPTIONAL = (
    "typer", "click", "rich", "tensorboard", "datasets", "pyarrow", "huggingface_hub", "PIL",
    "sklearn", "scipy", "matplotlib", "jinja2", "foolbox", "pyautoattack", "art", "torchattacks",
    "timm", "torchvision", "transformers", "lightning", "accelerate", "onnx", "onnxscript",
)  # fmt: skip

BARE = f"""
import sys
from importlib.machinery import PathFinder

class Installed:  # everything but those
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL!r}:
            return None
        return PathFinder.find_spec(name, path, target)

sys.meta_path = [Installed if finder is PathFinder else finder for finder in sys.meta_path]
"""


def without_extras(script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a process that cannot import any optional library."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BARE + script],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        timeout=300,
    )


CORE = """
import torch
from steadygrad.attacks import PGD
from steadygrad.covariance import ExponentialCovariance
from steadygrad.evaluation import accuracy_curve
from steadygrad.layers import ComplexLinear, PhaseEncoding
from steadygrad.models import build_model
from steadygrad.penalties import NormPenalty, StructuredPenalty

images, labels = torch.rand(4, 1, 8, 8), torch.arange(4)
model = build_model("digits-complex")
for penalty in (
    NormPenalty(eps=0.1),
    StructuredPenalty(strength=0.1, covariance=ExponentialCovariance((1, 8, 8), 2.0)),
):
    penalty(model, images, labels).loss.backward()
curve = accuracy_curve(model, images, labels, PGD(eps=0.1, steps=2), eps_values=(0, 0.1))
print(len(curve.points))
"""


def test_the_core_trains_and_measures(tmp_path: Path) -> None:
    done = without_extras(CORE, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2\n"


@pytest.mark.parametrize(
    ("script", "library", "name"),
    [
        ("from steadygrad.datasets import load_dataset; load_dataset('digits')", "sklearn", "data"),
        (
            "from steadygrad.datasets.decoding import decode_image; decode_image(b'', '')",
            "PIL",
            "data",
        ),
        ("import steadygrad.reports", "", "report"),
        (
            "from steadygrad.reports.figures.canvas import new_figure; new_figure(1, 1)",
            "",
            "report",
        ),
        ("from steadygrad.training import TerminalProgress; TerminalProgress()", "rich", "train"),
    ],
)
def test_a_missing_library_is_one_sentence(
    script: str, library: str, name: str, tmp_path: Path
) -> None:
    done = without_extras(script, tmp_path)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"steadygrad.errors.MissingExtraError: {library}"), done.stderr
    assert last.endswith(f"is not installed; install it with pip install 'steadygrad[{name}]'")


def test_the_command_without_its_libraries_is_one_sentence(tmp_path: Path) -> None:
    done = without_extras("from steadygrad.program import main; main()", tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: typer is not installed; install it with pip install 'steadygrad[train]'\n"
    )


def test_another_failure_stays_what_it_is() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"steadygrad\.nowhere"), extra("data"):
        import steadygrad.nowhere  # noqa: F401
    with pytest.raises(MissingExtraError, match="nobody_has_this is not installed"), extra("data"):
        import nobody_has_this  # noqa: F401


def test_penalties_import_no_optional_library() -> None:
    script = (
        "import sys, steadygrad, steadygrad.penalties, steadygrad.layers, steadygrad.covariance\n"
        "import steadygrad.attacks, steadygrad.models, steadygrad.evaluation\n"
        f"print([name for name in {OPTIONAL!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
