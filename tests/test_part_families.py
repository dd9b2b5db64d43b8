"""What every part of every family owes its user; other packages' parts take part by themselves."""

import dataclasses
import inspect
import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from part_examples import drawn_parts, example
from steadygrad.cli.parts import FAMILIES
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.parts import Family

PARTS = [(kind, name) for kind, family in FAMILIES.items() for name in family.names()]
each_part = pytest.mark.parametrize(("kind", "name"), PARTS, ids=str)
each_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


@each_part
def test_text_and_table_read_back_to_an_equal_part(kind: str, name: str) -> None:
    family = FAMILIES[kind]
    part = example(family, name)
    text, table = family.text(part), family.table(part)
    assert table["name"] == name
    assert text.partition(":")[0] == name or text == part.own_text
    assert family.parse(text) == part
    assert family.of(text) == family.of(table) == family.of(part) == part
    assert family.build(json.loads(json.dumps(table))) == part
    assert family.text(family.parse(text)) == text
    assert family.name_of(part) == family.name_of(type(part)) == name


@each_part
def test_is_a_value_that_other_processes_can_be_sent(kind: str, name: str) -> None:
    part = example(FAMILIES[kind], name)
    assert dataclasses.replace(part) == part
    assert hash(dataclasses.replace(part)) == hash(part)
    assert pickle.loads(pickle.dumps(part)) == part


class Stranger:
    """Of no kind that a setting has."""


@each_part
def test_the_constructor_refuses_values_of_other_kinds(kind: str, name: str) -> None:
    family = FAMILIES[kind]
    part = example(family, name)
    for setting in family.settings(name):
        holds_several = "tuple" in str(setting.annotation)
        if setting.family is not None or holds_several:
            continue
        with pytest.raises((HyperparameterError, UnknownNameError), match=r"expected .*Stranger"):
            dataclasses.replace(part, **{setting.key: Stranger()})


@each_part
def test_an_unknown_setting_is_refused_with_those_there_are(kind: str, name: str) -> None:
    family = FAMILIES[kind]
    keys = [setting.key for setting in family.settings(name)]
    choices = f"choose from {', '.join(keys)}" if keys else "it has none"
    sentence = f"{family.kind} {name} has no setting 'qqqq'; {choices}"
    for build in (
        lambda: family.parse(f"{name}:qqqq=1"),
        lambda: family.build({"name": name, "qqqq": 1}),
    ):
        with pytest.raises(HyperparameterError) as refusal:
            build()
        assert str(refusal.value) == sentence


@each_part
def test_a_needed_setting_is_asked_for_by_name(kind: str, name: str) -> None:
    family = FAMILIES[kind]
    needed = [setting.key for setting in family.settings(name) if setting.is_needed]
    if not needed:
        assert family.parse(name) == example(family, name)
        return
    with pytest.raises(HyperparameterError, match=f"{name} needs a value for {needed[0]}"):
        family.parse(name)


@each_part
def test_has_a_docstring(kind: str, name: str) -> None:
    cls = FAMILIES[kind].get(name)
    text = inspect.getdoc(cls) or ""
    # A dataclass without a docstring gets its signature as one.
    assert text and not text.startswith(f"{cls.__name__}("), f"{kind} {name} has no docstring"


@each_part
def test_a_positional_setting_is_one(kind: str, name: str) -> None:
    family = FAMILIES[kind]
    positional = getattr(family.get(name), "positional", None)
    assert positional is None or positional in [s.key for s in family.settings(name)]


@each_family
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_settings_that_a_part_takes_survive_text_and_table(
    family: Family[Any], data: st.DataObject
) -> None:
    part = data.draw(drawn_parts(family))
    assert family.parse(family.text(part)) == part
    assert family.build(json.loads(json.dumps(family.table(part)))) == part


@each_family
def test_an_unknown_name_is_answered_with_the_nearest_and_all_others(family: Family[Any]) -> None:
    name = family.names()[0]
    with pytest.raises(UnknownNameError) as refusal:
        family.parse(f"{name}q")
    said = str(refusal.value)
    assert said.startswith(f"unknown {family.kind} '{name}q' (did you mean ")
    # "object" stands for what a program has to give: no text can build it.
    assert said.partition("choose one of ")[2].split(", ") == [
        each for each in family.names() if each != "object"
    ]
    with pytest.raises(HyperparameterError, match=f"expected {family.one}, got 3"):
        family.of(3)
