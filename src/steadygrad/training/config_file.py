"""Training configurations from TOML files."""

import tomllib
from pathlib import Path
from typing import Any

from steadygrad.errors import HyperparameterError

__all__ = ["read_settings"]


def read_settings(path: Path | str) -> dict[str, Any]:
    """Return the settings of a TOML file whose keys are the fields of ``TrainingConfig``.

    They are not complete or checked yet: the command line may override some first.
    Raises: HyperparameterError, if the file cannot be read or is not TOML.
    """
    try:
        with Path(path).open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise HyperparameterError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HyperparameterError(f"{path} is not valid TOML: {error}") from error
