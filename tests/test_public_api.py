"""What the package promises: every public name is there, typed and documented."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import steadygrad

MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(steadygrad.__path__, "steadygrad.")
    if not name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_exists_and_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    assert hasattr(module, "__all__"), f"{name} has no __all__"
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        thing = getattr(module, public)
        is_ours = getattr(thing, "__module__", "").startswith("steadygrad")
        if is_ours and (inspect.isclass(thing) or inspect.isfunction(thing)):
            assert inspect.getdoc(thing), f"{name}.{public} has no docstring"


def imported_of(names: tuple[str, ...], script: str) -> str:
    """Return which of the modules a script imports, as a list's text."""
    script += f"\nprint([name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return done.stdout.strip() + done.stderr


def test_importing_the_library_loads_no_heavy_or_optional_package() -> None:
    heavy = ("matplotlib", "datasets", "sklearn", "tensorboard", "foolbox", "torchvision", "PIL")
    script = (
        "import sys, steadygrad.penalties, steadygrad.reports\n"
        "from steadygrad.cli.commands import Commands\n"
        "assert len(list(Commands().values())) > 10"
    )
    assert imported_of(heavy, script) == "[]"


def test_importing_penalties_imports_no_attack_and_no_layer() -> None:
    slow = ("steadygrad.attacks", "steadygrad.layers", "steadygrad.models", "steadygrad.training")
    assert imported_of(slow, "import sys, steadygrad.penalties") == "[]"
