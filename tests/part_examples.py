"""An example of every registered part, found by itself wherever its settings are of plain kinds."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from hypothesis import strategies as st

from steadygrad.errors import SteadygradError
from steadygrad.parts import Family, Setting

__all__ = ["EXAMPLES", "drawn_parts", "example", "examples"]

EXAMPLES = {
    ("data set", "hub"): "hub:OWNER/NAME",
    ("model", "callable"): "package.module:build,width=3",
    ("model", "smooth"): "smooth:model=digits-gelu",
    ("attack", "mixture"): "mixture:attack=fgsm,attack.eps=0.1,fraction=0.5",
    ("penalty", "standardized"): "standardized:penalty=gn,penalty.strength=0.125",
}
"""Texts of the parts whose needed settings no guess from their types can fill in."""

_GUESSES: dict[Any, Any] = {
    bool: True,
    int: 2,
    float: 0.125,
    str: "text",
    Path: "a/place.safetensors",
    tuple[int, ...]: [1, 2],
    tuple[float, ...]: [0.25, 0.5],
    tuple[str, ...]: ["text"],
}


def example(family: Family[Any], name: str) -> Any:
    """Return a part with its needed settings filled in and all others at their defaults.

    Fails, with a sentence that says what to do, for a part whose settings cannot be guessed.
    """
    known = EXAMPLES.get((family.kind, name))
    try:
        if known is not None:
            return family.parse(known)
        needed = [setting for setting in family.settings(name) if setting.is_needed]
        return family.build({"name": name} | {s.key: _guess(s) for s in needed})
    except (SteadygradError, KeyError) as error:
        pytest.fail(
            f"no example of the {family.kind} {name!r} could be guessed ({error}); add its text to "
            "EXAMPLES in tests/part_examples.py"
        )


def examples(family: Family[Any]) -> list[Any]:
    """Return an example of every part of a family."""
    return [example(family, name) for name in family.names()]


def drawn_parts(family: Family[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for parts of a family with some of their settings drawn.

    Where a part refuses what was drawn, its example takes its place.
    """
    return st.sampled_from(family.names()).flatmap(lambda name: _drawn(family, name))


def _drawn(family: Family[Any], name: str) -> st.SearchStrategy[Any]:
    plain = example(family, name)
    choices = {s.key: st.just(getattr(plain, s.key)) | _values(s) for s in family.settings(name)}

    def build(changes: dict[str, Any]) -> Any:
        try:
            return dataclasses.replace(plain, **changes)
        except SteadygradError:
            return plain

    return st.fixed_dictionaries(choices).map(build)


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _guess(setting: Setting) -> Any:
    if setting.family is not None:
        return setting.family.table(examples(setting.family)[0])
    annotation = _bare(setting.annotation)
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    return _GUESSES[annotation]


def _values(setting: Setting) -> st.SearchStrategy[Any]:
    """Return values that the type allows; the part may refuse them."""
    if setting.family is not None:
        return st.nothing()
    annotation = _bare(setting.annotation)
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    kinds: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: st.integers(0, 40),
        float: st.floats(0, 1) | st.integers(0, 255).map(lambda n: n / 255),
        tuple[int, ...]: st.lists(st.integers(1, 20), unique=True).map(lambda v: tuple(sorted(v))),
    }
    return kinds.get(annotation, st.nothing())
