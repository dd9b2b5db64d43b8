"""The grammar of parts: text, table and constructor build equal objects and refuse alike."""

import warnings
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.parts import Family, nearest, number_text

SHAPES: Family[Any] = Family("shape", "math", group="steadygrad.no_such_group")
TOOLS: Family[Any] = Family("tool", "math", group="steadygrad.no_such_group")


@SHAPES.register("square")
@dataclass(frozen=True, kw_only=True)
class Square:
    positional: ClassVar[str] = "side"

    side: float = 1.0
    label: str = "plain"


@SHAPES.register("drawing")
@dataclass(frozen=True, kw_only=True)
class Drawing:
    positional: ClassVar[str] = "file"

    file: Path
    scale: float = 1.0


@SHAPES.register("dot")
@dataclass(frozen=True, kw_only=True)
class Dot:
    pass


@TOOLS.register("saw", about="cuts")
@dataclass(frozen=True, kw_only=True)
class Saw:
    eps: float
    steps: int = 8
    loss: Literal["margin", "dlr"] = "margin"
    step_size: float | None = None
    at: tuple[int, ...] = ()
    rates: tuple[float, ...] = ()
    shape: Annotated[Square | Drawing | Dot | None, SHAPES] = None
    shapes: Annotated[tuple[Square | Dot, ...], SHAPES] = ()
    is_sharp: bool = True
    path: Path = Path("x")

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise HyperparameterError(f"expected steps >= 1, got {self.steps}")


@dataclass(frozen=True)
class Named:
    name: str = ""


TEXTS = {
    "saw:eps=8/255": Saw(eps=8 / 255),
    "saw:eps=0.1,steps=20,loss=dlr,step_size=1.5/255": Saw(
        eps=0.1, steps=20, loss="dlr", step_size=1.5 / 255
    ),
    "saw:eps=1,at=10+20,rates=1e-05+0.5,is_sharp=false": Saw(
        eps=1.0, at=(10, 20), rates=(1e-5, 0.5), is_sharp=False
    ),
    "saw:eps=0,shape=square:2,shape.label=blue": Saw(eps=0.0, shape=Square(side=2.0, label="blue")),
    "saw:eps=0,shape=square,shape.label='a,b'": Saw(eps=0.0, shape=Square(label="a,b")),
    "saw:eps=0,shape=dot,shapes=dot+square:3": Saw(
        eps=0.0, shape=Dot(), shapes=(Dot(), Square(side=3.0))
    ),
    "saw:eps=0,path=a/b.toml": Saw(eps=0.0, path=Path("a/b.toml")),
}


@pytest.mark.parametrize("text", TEXTS)
def test_text_table_and_constructor_build_equal_parts_and_print_back(text: str) -> None:
    part = TOOLS.parse(text)
    assert part == TEXTS[text]
    assert TOOLS.text(part) == text
    assert TOOLS.build(TOOLS.table(part)) == part


@pytest.mark.parametrize(
    ("text", "table", "sentence"),
    [
        ("saw", {}, "tool saw needs a value for eps, as in saw:eps=..."),
        (
            "saw:eps=1,step=3",
            {"eps": 1, "step": 3},
            "tool saw has no setting 'step' (did you mean 'steps'?); choose from eps, steps, loss, "
            "step_size, at, rates, shape, shapes, is_sharp, path",
        ),
        ("saw:eps=x", {"eps": "x"}, "tool saw: eps: expected a number, got 'x'"),
        ("saw:eps=nan", {"eps": "nan"}, "tool saw: eps: expected a finite number, got nan"),
        ("saw:eps=1/0", {"eps": "1/0"}, "tool saw: eps: expected a number, got '1/0'"),
        (
            "saw:eps=1,steps=2.5",
            {"eps": 1, "steps": "2.5"},
            "tool saw: steps: expected a whole number, got '2.5'",
        ),
        (
            "saw:eps=1,is_sharp=maybe",
            {"eps": 1, "is_sharp": "maybe"},
            "tool saw: is_sharp: expected true or false, got 'maybe'",
        ),
        (
            "saw:eps=1,loss=marginn",
            {"eps": 1, "loss": "marginn"},
            "tool saw: loss: expected one of margin, dlr, got 'marginn' (did you mean 'margin'?)",
        ),
        ("saw:eps=1,steps=0", {"eps": 1, "steps": 0}, "expected steps >= 1, got 0"),
        (
            "saw:eps=1,shape=sqare",
            {"eps": 1, "shape": "sqare"},
            "unknown shape 'sqare' (did you mean 'square'?); choose one of square, drawing, dot",
        ),
        (
            "saw:eps=1,shape=dot,shape.side=2",
            {"eps": 1, "shape": {"name": "dot", "side": 2}},
            "shape dot has no setting 'side'; it has none",
        ),
    ],
)
def test_text_and_table_are_refused_with_the_same_sentence(
    text: str, table: dict[str, Any], sentence: str
) -> None:
    for build in (lambda: TOOLS.parse(text), lambda: TOOLS.build({"name": "saw"} | table)):
        with pytest.raises((HyperparameterError, UnknownNameError)) as refusal:
            build()
        assert str(refusal.value) == sentence


@pytest.mark.parametrize("place", ["a=b", "data/date=2024", "./lr=0.1/x.svg", "a,b=c", "it's=x"])
def test_a_path_with_an_equals_sign_needs_no_key(place: str) -> None:
    part = Drawing(file=Path(place), scale=2.0)
    assert SHAPES.parse(SHAPES.text(part)) == part
    tool = Saw(eps=0.0, shape=part)
    assert TOOLS.parse(TOOLS.text(tool)) == tool


def test_a_path_with_an_equals_sign_is_told_from_a_setting() -> None:
    part = Drawing(file=Path("runs/lr=0.1/x.svg"), scale=2.0)
    assert SHAPES.parse("drawing:runs/lr=0.1/x.svg,scale=2") == part
    assert TOOLS.parse("saw:eps=0,shape=drawing:runs/lr=0.1/x.svg,shape.scale=2").shape == part
    with pytest.raises(HyperparameterError, match=r"no setting 'scal' \(did you mean 'scale'"):
        SHAPES.parse("drawing:scal=2")
    with pytest.raises(HyperparameterError, match=r"no setting 'shap' \(did you mean 'shape'"):
        TOOLS.parse("saw:shap.scale=2,eps=0")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("swa:eps=1", "unknown tool 'swa'"),
        ("saw:eps", "expected key=value with a key among eps"),
        ("saw:eps=1,eps=2", "expected eps once, got it twice"),
        ("saw:eps=1,steps.x=2", "steps has no settings of its own"),
        ("saw:eps=1,shape.side=2", "expected the name of a shape beside its settings"),
        ("saw:eps=1,path='a", "expected a closing '"),
    ],
)
def test_malformed_text_is_named(text: str, sentence: str) -> None:
    with pytest.raises((HyperparameterError, UnknownNameError), match=sentence):
        TOOLS.parse(text)


@given(
    eps=st.floats(0, 1),
    numerator=st.integers(0, 255),
    steps=st.integers(1, 10**6),
    name=st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), max_size=8),
)
@example(eps=0.0, numerator=0, steps=1, name='""')
@example(eps=0.0, numerator=0, steps=1, name="'\"'")
def test_any_value_survives_text_and_table(
    eps: float, numerator: int, steps: int, name: str
) -> None:
    part = Saw(eps=eps, steps=steps, step_size=numerator / 255, shape=Square(side=eps, label=name))
    text = TOOLS.text(part)
    if not ("'" in name and '"' in name):  # such a text cannot be quoted; it prints as its repr
        assert TOOLS.parse(text) == part
    assert TOOLS.build(TOOLS.table(part)) == part


@pytest.mark.parametrize(
    ("value", "text"),
    [(8 / 255, "8/255"), (0.5 / 255, "0.5/255"), (0.2, "0.2"), (1.0, "1"), (1e-5, "1e-05")],
)
def test_numbers_are_as_short_as_they_can_be(value: float, text: str) -> None:
    assert number_text(value) == text


def test_numbers_of_numpy_are_as_those_of_python() -> None:
    plain = Saw(eps=0.25, steps=2, step_size=0.5, at=(1, 2), shape=Square(side=3))
    part = Saw(
        eps=np.float32(0.25),
        steps=np.int64(2),
        step_size=np.float64(0.5),
        at=(np.int64(1), np.uint8(2)),
        shape=Square(side=np.int32(3)),
    )
    assert repr(part) == repr(plain)
    assert TOOLS.text(part) == TOOLS.text(plain)
    assert repr(TOOLS.build(TOOLS.table(plain) | {"eps": np.float32(0.25)})) == repr(
        TOOLS.build(TOOLS.table(plain))
    )
    with pytest.raises(HyperparameterError, match=r"expected a whole number, got 2\.5"):
        Saw(eps=0.25, steps=np.float32(2.5))
    with pytest.raises(HyperparameterError, match="expected a tool, got "):
        TOOLS.of(np.float32(1))


def test_what_text_cannot_hold_prints_as_its_repr() -> None:
    part = Saw(eps=0.0, shape=Square(label="both ' and \""))
    assert TOOLS.text(part) == repr(part)
    assert TOOLS.text(object) == repr(object)


def test_a_name_is_taken_once_and_a_part_is_a_frozen_dataclass() -> None:
    family: Family[Any] = Family("thing", "math", group="steadygrad.no_such_group")
    family.register("dot")(Dot)
    family.register("dot")(Dot)
    with pytest.raises(HyperparameterError, match="belongs to another thing"):
        family.register("dot")(Square)
    family.register("dot", replace=True)(Square)
    assert family.get("dot") is Square
    with pytest.raises(HyperparameterError, match="expected a frozen dataclass"):
        family.register("thawed")(int)
    with pytest.raises(HyperparameterError, match="expected no setting called 'name'"):
        family.register("named")(Named)
    with pytest.raises(HyperparameterError, match="expected a name of letters"):
        family.register("a b")


def test_about_and_names_are_asked_of_part_class_or_name() -> None:
    for part in ("saw", Saw, Saw(eps=0.1)):
        assert TOOLS.about(part) == "cuts"
    assert TOOLS.name_of(Saw) == "saw"
    assert TOOLS.name_of(object()) is None
    assert TOOLS.of(Dot()) == Dot()
    with pytest.raises(HyperparameterError, match="expected a tool, got 3"):
        TOOLS.of(3)


def test_entry_points_are_loaded_when_asked_for_and_a_broken_one_stops_nobody_else() -> None:
    family: Family[Any] = Family("thing", "math", group="g")
    family._announced._points = {
        "circle": EntryPoint("circle", "fractions:Fraction", "g"),
        "gone": EntryPoint("gone", "no_such_module:Thing", "g"),
    }
    family.register("dot")(Dot)
    assert family.names() == ("dot", "circle", "gone")
    with pytest.raises(HyperparameterError, match="expected a frozen dataclass"):
        family.get("circle")
    with pytest.raises(HyperparameterError, match="cannot be loaded: ModuleNotFoundError"):
        family.get("gone")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert list(family) == [Dot] and family.usable_names() == ("dot",)
    assert len(caught) == 4


def test_a_plugin_that_ends_the_program_on_import_is_a_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ends_on_import.py").write_text("raise SystemExit(0)")
    monkeypatch.syspath_prepend(tmp_path)
    family: Family[Any] = Family("thing", "math", group="g")
    family._announced._points = {"gone": EntryPoint("gone", "ends_on_import:Thing", "g")}
    with pytest.raises(HyperparameterError, match="cannot be loaded: SystemExit: 0"):
        family.get("gone")


def test_a_name_that_is_taken_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    family: Family[Any] = Family("thing", "math", group="g")
    family.register("dot")(Dot)
    points = [
        EntryPoint("dot", f"{Dot.__module__}:{Dot.__qualname__}", "g"),  # the one that is there
        EntryPoint("dot", "fractions:Fraction", "g"),
        EntryPoint("circle", "fractions:Fraction", "g"),
        EntryPoint("circle", "decimal:Decimal", "g"),
    ]
    monkeypatch.setattr("steadygrad.parts.announced.entry_points", lambda group: points)
    with pytest.warns(UserWarning, match="is left out") as told:
        assert family.names() == ("dot", "circle")
    assert [str(each.message).split(" of the")[0] for each in told] == [
        "the thing 'dot'",
        "the thing 'circle'",
    ]
    assert family.get("dot") is Dot


def test_what_a_part_of_another_package_refuses_is_a_sentence_of_ours() -> None:
    @dataclass(frozen=True)
    class Ring:
        width: int = 1

        def __post_init__(self) -> None:
            if self.width < 1:
                raise ValueError(f"expected width >= 1, got {self.width}")

    family: Family[Any] = Family("thing", "math", group="steadygrad.no_such_group")
    family.register("ring")(Ring)
    with pytest.raises(HyperparameterError, match=r"^thing ring: expected width >= 1, got 0$"):
        family.parse("ring:width=0")


def test_a_fallback_reads_texts_that_are_no_names() -> None:
    family: Family[Any] = Family(
        "thing",
        "math",
        group="steadygrad.no_such_group",
        fallback=lambda text: Path(text) if "/" in text else None,
    )
    assert family.parse("a/b") == Path("a/b")
    with pytest.raises(UnknownNameError):
        family.parse("ab")


def test_the_nearest_name_is_offered_only_if_it_is_near() -> None:
    assert nearest("steps2", ["steps", "eps"]) == " (did you mean 'steps'?)"
    assert nearest("quite-different", ["steps"]) == ""
    assert nearest("PGD", ["fgsm", "pgd"]) == " (did you mean 'pgd'?)"
