"""Try a wheel in an empty environment: the core alone, and the sentence for what is missing.

Usage: ``python website/smoke_test.py dist``. pip installs torch, numpy and safetensors.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"

CORE = """
import sys, torch, steadygrad
from steadygrad.attacks import PGD
from steadygrad.evaluation import accuracy_curve
from steadygrad.models import build_model
from steadygrad.penalties import NormPenalty

torch.manual_seed(0)
images, labels = torch.rand(8, 1, 8, 8), torch.arange(8)
model = build_model("digits-complex")
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
NormPenalty(eps=0.01)(model, images, labels).loss.backward()
optimizer.step()
curve = accuracy_curve(model, images, labels, PGD(eps=0.1, steps=2), eps_values=(0, 0.1))
assert len(curve.points) == 2
assert not {"matplotlib", "typer", "datasets"} & set(sys.modules)
print("core of", steadygrad.__version__, "works")
"""


def main(folder: str) -> None:
    """Install each wheel and sdist of the folder, and use it.

    Args:
        folder: where ``python -m build`` has put them.
    """
    files = [*Path(folder).glob("*.whl"), *Path(folder).glob("*.tar.gz")]
    if {file.suffix for file in files} != {".whl", ".gz"}:
        sys.exit(f"expected a wheel and an sdist in {folder}, got {[f.name for f in files]}")
    for file in files:
        with tempfile.TemporaryDirectory() as scratch:
            try_file(file.resolve(), Path(scratch))


def try_file(file: Path, scratch: Path) -> None:
    """Install one file in a new environment and run the core and the command there."""
    venv.create(scratch / "venv", with_pip=True)
    binaries = scratch / "venv" / "bin"
    pip = [binaries / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    pip += ["--no-compile"]  # each file is imported at most once
    subprocess.run([*pip, "-c", CONSTRAINTS, file], check=True)
    subprocess.run([binaries / "python", "-c", CORE], check=True, cwd=scratch)
    told = subprocess.run(
        [binaries / "steadygrad", "--help"], capture_output=True, text=True, check=False
    )
    expected = "typer is not installed; install it with pip install 'steadygrad[train]'"
    if told.returncode != 2 or expected not in told.stderr:
        sys.exit(f"expected one sentence about typer, got {told.stdout}{told.stderr}")
    print(f"{file.name}: installed and used in an empty environment")


if __name__ == "__main__":
    main(*sys.argv[1:])
