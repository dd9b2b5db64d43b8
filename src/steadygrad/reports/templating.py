"""The templates of HTML pages, and how numbers are written in them."""

import platform
from datetime import datetime

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined

import steadygrad
from steadygrad.reports.wording import (
    attack_name,
    eps_text,
    interval_text,
    large_number,
    percent,
    seconds_text,
    sentence_text,
)

__all__ = ["date_text", "software_versions", "template_environment"]


def template_environment() -> Environment:
    """Return the environment of all pages: texts are escaped, a missing value is an error."""
    environment = Environment(
        loader=PackageLoader("steadygrad.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        attack=attack_name,
        eps=eps_text,
        interval=interval_text,
        large=large_number,
        percent=percent,
        duration=seconds_text,
        sentence=sentence_text,
    )
    return environment


def date_text(moment: datetime) -> str:
    """Return a UTC date and time for reading: "2 January 2025, 03:04 UTC"."""
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def software_versions() -> list[tuple[str, str]]:
    """Return (name, version) of what makes a page, steadygrad first."""
    import matplotlib

    return [
        ("steadygrad", steadygrad.__version__),
        ("torch", torch.__version__),
        ("matplotlib", matplotlib.__version__),
        ("python", platform.python_version()),
    ]
