"""Laws of an audit's page: whole, self-contained, safe, and true to the result."""

import base64
import dataclasses
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from PIL import Image

from html_page import Page
from steadygrad.errors import OutputError
from steadygrad.evaluation import wilson_interval
from steadygrad.evaluation.auditing.fitness import Problem
from steadygrad.evaluation.auditing.result import AuditResult
from steadygrad.reports.audit import render_audit_page, write_audit_page

DATE = datetime(2025, 1, 2, tzinfo=UTC)
HOSTILE = '<script>alert("1")<' + "&'{{ 7 * 7 }} $x_{$"
MakeResult = Callable[..., AuditResult]


def render(result: AuditResult) -> str:
    return render_audit_page(result, title=None, created=DATE)


@pytest.fixture(scope="module")
def text(audited: AuditResult) -> str:
    return render(audited)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def section(text: str, name: str) -> str:
    """Return the readable text of one section, without runs of white space."""
    part = text[text.index(f'aria-labelledby="{name}"') :].split("</section>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", part).split())


def test_the_page_is_well_formed_and_holds_all_it_shows(text: str, page: Page) -> None:
    assert not re.search(r"https?:|//\w+\.\w+|@import", text)
    assert page.tags["script"] == page.tags["link"] == page.tags["iframe"] == 0
    assert page.values("src")
    assert all(src.startswith("data:image/png;base64,") for src in page.values("src"))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    inner = [*page.values("href"), *page.values("xlink:href")]
    assert all(href.startswith("#") and href[1:] in ids for href in inner)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
    assert set(page.values("aria-labelledby")) <= set(ids)


def test_the_page_is_accessible(page: Page) -> None:
    assert page.tags["img"] == len([alt for alt in page.values("alt") if alt]) == 4 * 3
    figures = [value for tag, key, value in page.attributes if (tag, key) == ("svg", "role")]
    assert figures == ["img"]
    assert page.tags["caption"] == page.tags["table"]
    assert len(page.values("scope")) == page.tags["th"]
    assert ("html", "lang", "en") in page.attributes


def test_the_answer_stands_first(audited: AuditResult, text: str) -> None:
    short = section(text, "short")
    low, high = (100 * end for end in wilson_interval(96, 200))
    assert "48.0 % classified correctly under the worst of 5 attacks" in short
    assert f"95&nbsp;% interval {low:.1f}–{high:.1f}, 200 test images of digits" in short
    assert "eps 0.1 (25.5/255)" in short
    assert f"Can I trust this number? Only with caution. {audited.verdict.summary}" in short
    assert "Without attack, 97.0 %" in short
    assert text.index('id="short"') < text.index('id="attacks"') < text.index('id="believe"')


@pytest.mark.parametrize(
    ("level", "answer", "colour"),
    [
        ("no sign of masking", "Yes, as an upper bound", "yes"),
        ("masked", "No", "no"),
        ("incomplete", "Not yet", "caution"),
    ],
)
def test_a_verdict_is_answered_in_words_and_colour(
    make_result: MakeResult, audited: AuditResult, level: str, answer: str, colour: str
) -> None:
    verdict = dataclasses.replace(audited.verdict, level=level, summary="So it is.")
    page = render(make_result(verdict=verdict))
    assert f"<strong>{answer}.</strong> So it is." in page
    assert f'class="box answer {colour}"' in page


def test_every_attack_has_its_numbers_in_the_table(audited: AuditResult, text: str) -> None:
    table = section(text, "attacks")
    for outcome in audited.outcomes[:-1]:
        correct = 194 - int(outcome.broken.sum())
        low, high = (100 * end for end in wilson_interval(correct, 200))
        assert f"{correct / 2:.1f} % {low:.1f}–{high:.1f}" in table.replace("\u00a0", " ")
    assert "broke 3 of 99 survivors" in table
    assert "of 2.5 eps / 50" in table
    # The last row adds up: seconds, queries, gradients of all five.
    assert table.replace("\u00a0", " ").endswith("image by image 4 min 16 s 5.25 k 2.25 k")


def test_results_beyond_the_radius_are_told(make_result: MakeResult, audited: AuditResult) -> None:
    first, *others = audited.outcomes
    page = render(make_result(outcomes=(dataclasses.replace(first, outside=7), *others)))
    assert "7 beyond eps, not counted" in page
    assert "not counted" not in render(audited)


def test_every_finding_has_question_number_threshold_and_meaning(
    audited: AuditResult, text: str
) -> None:
    believe = section(text, "believe").replace("\u00a0", " ")
    for finding in audited.findings:
        assert finding.question in believe
        assert finding.meaning in believe
    assert "Measured 1.53 , suspicious above 1 (points of accuracy)" in believe
    assert "Measured 1.25 % , suspicious above 5 % (of examples)" in believe
    assert believe.count("Measured") == 2
    assert "1 of 3 diagnostics is suspicious, 1 passed, 1 not tested" in believe
    assert "They indicate: misleading gradients" in believe
    assert "still standing 3" in believe


def test_what_was_not_tested_is_listed(text: str) -> None:
    untested = section(text, "untested")
    assert "AutoAttack : not installed, pip install pyautoattack. No transfer attack." in untested


def test_nothing_left_out_is_no_proof(make_result: MakeResult) -> None:
    untested = section(render(make_result(untested=())), "untested")
    assert "Every attack of the battery was run. A stronger attack may still exist" in untested


def test_examples_name_their_attacks_and_what_the_model_said(text: str) -> None:
    examples = section(text, "examples")
    assert "by attack FGSM PGD(50), 5 restarts PGD(50), margin loss, 5 restarts" in examples
    assert examples.count("(right)") == examples.count("(wrong)") == 4
    assert "moved by eps" in examples


def test_changes_in_l2_are_drawn_to_the_largest_of_them(
    make_result: MakeResult, audited: AuditResult
) -> None:
    gallery = audited.gallery
    assert gallery is not None
    adversarial = gallery.clean.clone()
    adversarial[0, 0, 0, 0] = gallery.clean[0, 0, 0, 0] - 0.02
    shown = dataclasses.replace(gallery, adversarial=adversarial, eps=1.5)
    page = Page(render(make_result(norm="l2", eps=1.5, gallery=shown)))
    assert "moved by 0.02, the largest change shown" in " ".join(page.text.split())
    change = page.values("src")[4]  # after a row of four clean images
    pixels = Image.open(io.BytesIO(base64.b64decode(change.split(",")[1])))
    assert (pixels.getpixel((0, 0)), pixels.getpixel((1, 0))) == (0, 128)
    assert "eps 1.5 (L2)" in " ".join(page.text.split())
    assert "/255" not in page.text[: page.text.index("Threat model")]


def test_what_a_look_at_the_model_found_is_told(text: str) -> None:
    fitness = section(text, "fitness")
    assert "A copy does not compute in float64." in fitness
    assert "What to do: avoid dtypes." in fitness
    assert "A second pass gives the same outputs." in fitness
    assert 'id="fatal"' not in text


def test_a_fatal_problem_stands_above_everything(make_result: MakeResult) -> None:
    problem = Problem("probabilities", "rows sum to 1", "return the logits", is_fatal=True)
    text = render(make_result(fitness=(problem,)))
    assert "Rows sum to 1. What to do: return the logits." in section(text, "fatal")
    assert text.index('id="fatal"') < text.index('id="short"')


def test_cost_and_provenance_are_there(audited: AuditResult, text: str) -> None:
    repeat = section(text, "repeat")
    for value in ("ab" * 32, "cd" * 32, "ef" * 32, "2026-01-02T03:04:05+00:00", "seed 3"):
        assert value in repeat
    assert "5,249 images sent through the model" in repeat
    assert "white-box" in repeat


def test_little_is_enough_for_a_page(make_result: MakeResult) -> None:
    bare = make_result(
        outcomes=(), findings=(), gallery=None, untested=(), fitness=(), facts=(), data={}, model={}
    )
    page = Page(render(bare))
    assert page.tags["img"] == 0
    assert "Robustness audit of a model" in page.text
    assert "none was run" in page.text
    assert "No sign" not in page.text
    for name in ("attacks", "believe", "examples"):
        assert name not in page.values("id")


def test_one_attack_is_not_called_several(make_result: MakeResult, audited: AuditResult) -> None:
    page = " ".join(Page(render(make_result(outcomes=audited.outcomes[1:2]))).text.split())
    assert "under the one attack that was run" in page
    assert "strongest" not in page


def test_hostile_names_are_only_text(make_result: MakeResult, audited: AuditResult) -> None:
    outcome = dataclasses.replace(
        audited.outcomes[1], name=HOSTILE, attack={"name": HOSTILE, HOSTILE: HOSTILE}
    )
    finding = dataclasses.replace(
        audited.findings[0], question=HOSTILE, unit=HOSTILE, meaning=HOSTILE, evidence={HOSTILE: 1}
    )
    verdict = dataclasses.replace(audited.verdict, summary=HOSTILE, causes=(HOSTILE,))
    result = make_result(
        model={"name": HOSTILE},
        data={"name": HOSTILE, "split": HOSTILE, "class_names": [HOSTILE] * 10},
        outcomes=(outcome, audited.outcomes[2]),
        findings=(finding,),
        verdict=verdict,
        untested=(HOSTILE,),
        fitness=(Problem(HOSTILE, HOSTILE, HOSTILE, is_fatal=True),),
        versions={HOSTILE: HOSTILE},
    )
    page = Page(render(result))
    assert page.tags["script"] == 0
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert page.text.count(HOSTILE) > 15


def test_names_of_classes_come_with_the_data(make_result: MakeResult) -> None:
    names = [f"class {letter}" for letter in "abcdefghij"]
    page = Page(render(make_result(data={"name": "own", "class_names": names})))
    assert "class a" in page.text
    assert "image of class class d" in " ".join(page.values("alt"))


def test_the_same_result_gives_the_same_page(audited: AuditResult, text: str) -> None:
    assert render(audited) == text


def test_writing_returns_the_file_and_makes_its_folder(
    audited: AuditResult, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "audit.html"
    assert write_audit_page(audited, out, title="Mine") == out
    assert "<title>Mine</title>" in out.read_text()
    with pytest.raises(OutputError, match="is a folder"):
        write_audit_page(audited, tmp_path)


def test_a_gallery_of_no_example_is_left_out(make_result: MakeResult, audited: AuditResult) -> None:
    gallery = audited.gallery
    assert gallery is not None
    nothing = torch.zeros(0, dtype=torch.int64)
    empty = dataclasses.replace(
        gallery,
        clean=gallery.clean[:0],
        adversarial=gallery.adversarial[:0],
        labels=nothing,
        clean_predictions=nothing,
        adversarial_predictions=nothing,
        attacks=(),
        rows=nothing,
    )
    assert 'id="examples"' not in render(make_result(gallery=empty))
