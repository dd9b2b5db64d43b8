"""Try wheel and sdist in an empty environment: the core alone, and the error for what is missing.

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
    """Install the wheel in an empty environment and use it, then what the sdist builds.

    Args:
        folder: where ``python -m build`` has put them.
    """
    wheels, sdists = (sorted(Path(folder).glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    if not wheels or not sdists:
        names = [file.name for file in (*wheels, *sdists)]
        sys.exit(f"expected a wheel and an sdist in {folder}, got {names}")
    with tempfile.TemporaryDirectory() as scratch:
        venv.create(Path(scratch) / "venv", with_pip=True)
        binaries = Path(scratch) / "venv" / "bin"
        for file in (*wheels, *sdists):
            install(file.resolve(), binaries)
            use(binaries, Path(scratch))
            print(f"{file.name}: installed and used in an empty environment")


def install(file: Path, binaries: Path) -> None:
    """Install one file in place of the one before, whose requirements stay."""
    pip = [binaries / "python", "-m", "pip", "--disable-pip-version-check"]
    if (binaries / "steadygrad").exists():
        subprocess.run([*pip, "uninstall", "--quiet", "--yes", "steadygrad"], check=True)
    options = ["--quiet", "--no-compile"]  # each file is imported at most twice
    subprocess.run([*pip, "install", *options, "-c", CONSTRAINTS, file], check=True)


def use(binaries: Path, folder: Path) -> None:
    """Run the core and the command of what is installed."""
    subprocess.run([binaries / "python", "-c", CORE], check=True, cwd=folder)
    told = subprocess.run(
        [binaries / "steadygrad", "--help"], capture_output=True, text=True, check=False
    )
    expected = "typer is not installed; install it with pip install 'steadygrad[train]'"
    if told.returncode != 2 or expected not in told.stderr:
        sys.exit(f"expected one sentence about typer, got {told.stdout}{told.stderr}")


if __name__ == "__main__":
    main(*sys.argv[1:])
