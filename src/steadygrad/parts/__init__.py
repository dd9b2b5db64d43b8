"""Parts: everything a user can choose by name, written as text, as a table or as a Python object.

A part is a frozen dataclass registered under a name in its family (attacks, penalties, schedules,
...). Three forms build equal objects and refuse bad settings with the same sentences::

    pgd:eps=8/255,steps=20                        text, for the command line and reports
    {"name": "pgd", "eps": "8/255", "steps": 20}  a table, for TOML, JSON and stored results
    PGD(eps=8 / 255, steps=20)                    the constructor

The text form is ``NAME``, then ``:`` and settings ``key=value`` separated by commas. A part with a
``positional`` setting takes it first, without its key (``uniform:0.1``). A setting that is itself a
part takes that part's name, and its own settings by dotted keys::

    sgr:strength=0.005,covariance=exponential,covariance.decay_length=4

Values: numbers (``8/255`` too), ``true`` and ``false``, ``none``, names, texts (in quotes where
they hold a comma, or, without a key, ``=``), and several values joined by ``+`` (``at=10+20``).
"""

from steadygrad.parts.announced import Announced
from steadygrad.parts.family import Family
from steadygrad.parts.paths import absolute_path, paths_changed, with_absolute_paths, with_paths
from steadygrad.parts.reading import build_part, read_nested
from steadygrad.parts.settings import Setting, part_fields
from steadygrad.parts.values import nearest, number_text, read_plain
from steadygrad.parts.writing import distinct_settings, plain_settings, value_text

__all__ = [
    "Announced",
    "Family",
    "Setting",
    "absolute_path",
    "build_part",
    "distinct_settings",
    "nearest",
    "number_text",
    "part_fields",
    "paths_changed",
    "plain_settings",
    "read_nested",
    "read_plain",
    "value_text",
    "with_absolute_paths",
    "with_paths",
]
