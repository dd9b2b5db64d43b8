"""Laws of an audit's rows: counts as measured, weakest first, survivors told apart."""

import dataclasses

import pytest

from steadygrad.evaluation import AccuracyPoint
from steadygrad.evaluation.auditing.result import AuditResult
from steadygrad.reports.audit.words import AttackRow, attack_rows


@pytest.fixture
def rows(audited: AuditResult) -> list[AttackRow]:
    return attack_rows(audited.outcomes, audited.clean_correct)


def test_the_weakest_attack_comes_first_and_survivors_come_last(rows: list[AttackRow]) -> None:
    assert [row.name for row in rows] == ["noise", "fgsm", "pgd-50", "pgd-50-margin", "nes"]


def test_order_does_not_depend_on_that_of_the_battery(audited: AuditResult) -> None:
    shuffled = (*audited.outcomes[3::-1], audited.outcomes[4])
    rows = attack_rows(shuffled, audited.clean_correct)
    assert [row.name for row in rows] == ["noise", "fgsm", "pgd-50", "pgd-50-margin", "nes"]


def test_accuracy_counts_the_right_examples_that_were_not_broken(rows: list[AttackRow]) -> None:
    assert [row.point for row in rows] == [
        AccuracyPoint(eps=0.1, correct=194 - broken, n=200) for broken in (4, 56, 91, 95)
    ] + [None]


def test_an_attack_on_survivors_says_what_stood_before_it(rows: list[AttackRow]) -> None:
    last = rows[-1]
    assert (last.standing, last.attacked, last.broken) == (99, 99, 3)
    assert last.outcome_text == "broke 3 of 99 survivors"
    assert all(row.standing is None for row in rows[:-1])


def test_an_attack_on_a_selection_has_no_accuracy(audited: AuditResult) -> None:
    nes = audited.outcomes[-1]
    some = nes.attacked & (nes.attacked.cumsum(0) <= 10)
    few = dataclasses.replace(nes, attacked=some, scope="all")
    (row,) = attack_rows([few], audited.clean_correct)
    assert (row.point, row.standing) == (None, None)
    assert row.outcome_text == "broke 3 of 10 tried"


def test_attacks_of_one_title_are_told_apart_by_their_names(audited: AuditResult) -> None:
    twins = [dataclasses.replace(audited.outcomes[1], name=name) for name in ("one", "two")]
    rows = attack_rows([*twins, audited.outcomes[2]], audited.clean_correct)
    assert [row.title for row in rows] == ["FGSM (one)", "FGSM (two)", "PGD(50), 5 restarts"]


def test_an_attack_without_settings_lists_none(rows: list[AttackRow]) -> None:
    assert rows[1].settings == ""
    assert rows[2].settings.startswith("50 steps of 2.5 eps / 50")
