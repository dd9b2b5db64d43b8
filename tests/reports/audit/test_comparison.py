"""Laws of compared audits: the same examples or nothing, tests image by image, fair warnings."""

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from steadygrad.errors import CheckpointError, HyperparameterError
from steadygrad.evaluation import PairedComparison
from steadygrad.evaluation.auditing.result import AuditResult, write_audit
from steadygrad.evaluation.masking import Verdict
from steadygrad.reports.audit import AuditComparison, comparison_table, load_audits

MakeResult = Callable[..., AuditResult]
FINE = Verdict(level="no sign of masking", summary="Fine.", causes=(), reasons=())


@pytest.fixture
def strong(make_result: MakeResult) -> AuditResult:
    """An audit like the others whose strongest attacks break 40 of 200 fewer, and 10 others."""
    first = make_result(verdict=FINE)
    kept = torch.arange(200) < 40
    more = first.clean_correct & (torch.arange(200) >= 190)
    outcomes = [dataclasses.replace(o, broken=o.broken & ~kept) for o in first.outcomes]
    last = outcomes[-2]
    outcomes[-2] = dataclasses.replace(last, broken=last.broken | more)
    return make_result(model={"name": "strong"}, outcomes=tuple(outcomes), verdict=FINE)


def shown(comparison: AuditComparison, width: int = 80) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None)
    console.print(comparison_table(comparison))
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    return text


def test_worst_cases_are_compared_image_by_image(
    make_result: MakeResult, strong: AuditResult
) -> None:
    comparison = AuditComparison({"first": make_result(verdict=FINE), "strong": strong})
    (pair,) = comparison.worst_cases().values()
    # Of the first 40 examples, 38 are right without attack; the attacks break 10 late ones more.
    assert pair == PairedComparison(both=86, only_first=38, only_second=10, neither=66)
    assert pair.difference == (strong.worst_case.accuracy - 0.48)
    assert comparison.cautions() == []


def test_the_table_says_who_is_better_and_how_sure_that_is(
    make_result: MakeResult, strong: AuditResult
) -> None:
    text = shown(AuditComparison({"first": make_result(verdict=FINE), "strong": strong}))
    assert "eps 0.1 (25.5/255)" in text
    assert "+14.0" in text
    for part in ("48.0", "41.2–54.9", "62.0", "<0.0001", "no sign of"):
        assert part in text
    backwards = shown(AuditComparison({"strong": strong, "first": make_result(verdict=FINE)}))
    assert "−14.0" in backwards


def test_equal_audits_do_not_differ(audited: AuditResult) -> None:
    text = shown(AuditComparison({"a": audited, "b": audited}))
    assert "+0.0" in text
    assert "doubtful" in text


def test_what_limits_the_comparison_is_said(make_result: MakeResult) -> None:
    first = make_result()
    fewer = make_result(outcomes=first.outcomes[:-1], verdict=FINE)
    masked = make_result(verdict=dataclasses.replace(FINE, level="masked"))
    cautions = AuditComparison({"a": first, "b": fewer, "c": masked}).cautions()
    assert cautions[0].startswith("a and b were not attacked alike (nes only on a)")
    assert cautions[1].startswith("The verdict on c is: masked.")
    assert cautions[2].startswith("The verdict on a is: doubtful.")
    assert cautions[3].startswith("2 p-values are shown, none of them corrected")
    assert len(cautions) == 4


def test_an_attack_with_other_settings_is_another_attack(make_result: MakeResult) -> None:
    first = make_result(verdict=FINE)
    changed = dataclasses.replace(first.outcomes[0], attack={"name": "random-noise", "samples": 9})
    other = make_result(verdict=FINE, outcomes=(changed, *first.outcomes[1:]))
    (caution,) = AuditComparison({"a": first, "b": other}).cautions()
    assert "(noise only on a; noise only on b)" in caution


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"digest": "0"}}, r"same images and labels, got 200 examples of a and 200 other"),
        ({"eps": 0.2}, r"same eps and norm, got 0\.1 \(linf\) of a and 0\.2 \(linf\) of b"),
        ({"norm": "l2"}, r"got 0\.1 \(linf\) of a and 0\.1 \(l2\) of b"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    make_result: MakeResult, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(HyperparameterError, match=message):
        AuditComparison({"a": make_result(), "b": make_result(**changes)})


def test_one_audit_is_too_few(audited: AuditResult) -> None:
    with pytest.raises(HyperparameterError, match="at least two audits to compare, got 1"):
        AuditComparison({"a": audited})


def test_audits_are_called_by_their_models_or_else_by_their_folders(
    audited: AuditResult, strong: AuditResult, tmp_path: Path
) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    for folder, result in ((one, audited), (two, strong), (three, strong)):
        write_audit(result, folder)
    assert list(load_audits([one, two]).audits) == ["mnist-complex", "strong"]
    assert list(load_audits([two, three]).audits) == [str(two), str(three)]
    with pytest.raises(HyperparameterError, match=r"each audit once, got .*one 2 times"):
        load_audits([one, two, one])
    with pytest.raises(CheckpointError, match="cannot read"):
        load_audits([one, tmp_path])


def test_the_page_of_a_stored_audit_is_that_of_the_result(
    audited: AuditResult, tmp_path: Path
) -> None:
    from datetime import UTC, datetime

    from steadygrad.evaluation.auditing.result import read_audit
    from steadygrad.reports.audit import render_audit_page

    write_audit(audited, tmp_path)
    date = datetime(2025, 1, 2, tzinfo=UTC)
    pages = [
        render_audit_page(result, title=None, created=date)
        for result in (audited, read_audit(tmp_path))
    ]
    assert pages[0] == pages[1]
