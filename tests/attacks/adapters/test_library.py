"""Libraries that are not installed, and libraries that nobody asked for."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from steadygrad.attacks import (
    ATTACKS,
    FGSM,
    AutoAttack,
    CarliniWagner,
    from_art,
    from_foolbox,
    from_torchattacks,
    to_art,
    to_foolbox,
    to_torchattacks,
)
from steadygrad.attacks.adapters.library import library_version, load_library
from steadygrad.errors import MissingExtraError, SteadygradError

WAYS: list[tuple[str, Callable[[], object], str]] = [
    ("pyautoattack", lambda: AutoAttack(eps=0.1), r"pip install 'steadygrad\[autoattack\]'"),
    ("pyautoattack", lambda: ATTACKS.parse("autoattack:eps=0"), r"steadygrad\[autoattack\]"),
    ("foolbox", lambda: CarliniWagner(eps=1.0), r"pip install 'steadygrad\[foolbox\]'"),
    ("foolbox", lambda: from_foolbox(object(), eps=0.1), r"pip install 'steadygrad\[foolbox\]'"),
    ("foolbox", lambda: to_foolbox(FGSM(eps=0.1)), r"pip install 'steadygrad\[foolbox\]'"),
    ("torchattacks", lambda: from_torchattacks(object, eps=0.1), "pip install --no-deps torchatt"),
    ("torchattacks", lambda: to_torchattacks(FGSM(eps=0.1), None), "install --no-deps torchatt"),
    ("art", lambda: from_art(object, eps=0.1), r"pip install 'steadygrad\[art\]'"),
    ("art", lambda: to_art(FGSM(eps=0.1), None), r"pip install 'steadygrad\[art\]'"),
]


@pytest.mark.parametrize(("module", "use", "command"), WAYS)
def test_a_missing_library_gives_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, module: str, use: Callable[[], object], command: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"is not installed; install it with .*{command}"):
        use()


def test_the_error_is_one_of_ours() -> None:
    assert issubclass(MissingExtraError, SteadygradError)
    assert issubclass(MissingExtraError, RuntimeError)


def test_versions_are_those_installed() -> None:
    foolbox = load_library("foolbox")
    assert library_version("foolbox") == f"foolbox {foolbox.__version__}"
    assert library_version("art").startswith("adversarial-robustness-toolbox 1.")


def test_nothing_is_imported_before_it_is_used() -> None:
    script = (
        "import sys, steadygrad.cli\n"
        "from steadygrad.attacks import ATTACKS, AutoAttack, CarliniWagner\n"
        "AutoAttack(eps=0.1), CarliniWagner(eps=1.0), ATTACKS.settings('autoattack')\n"
        "names = ('foolbox', 'torchattacks', 'art', 'pyautoattack', 'torchvision')\n"
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
