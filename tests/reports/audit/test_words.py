"""Laws of an audit's words: no more than was measured, every number readable."""

import dataclasses

import pytest
import torch

from made_up_audit import outcome
from steadygrad.attacks import APGD, describe_attack
from steadygrad.attacks.ball import Norm
from steadygrad.evaluation import AccuracyPoint
from steadygrad.evaluation.auditing.result import AuditResult
from steadygrad.evaluation.outcome import AttackOutcome
from steadygrad.reports.audit.page import cost_facts, omissions, provenance_rows
from steadygrad.reports.audit.words import (
    BELIEF,
    accuracy_sentences,
    attack_rows,
    autoattack_sentence,
    evidence_rows,
    finding_cards,
    finding_count_text,
    number_text,
    radius_text,
    threat_model,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0125, "0.0125"),
        (-2.5, "−2.5"),
        (999.4, "999"),
        (999.9, "1,000"),
        (12345.6, "12,346"),
        (1.2345e-6, "1.2·10⁻⁶"),
        (-3e9, "−3·10⁹"),
        (float("inf"), "infinite"),
        (float("-inf"), "−infinite"),
        (float("nan"), "not a number"),
    ],
)
def test_numbers_are_short_and_have_no_machine_notation(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("eps", "norm", "text"),
    [
        (0.1, "linf", "0.1 (25.5/255)"),
        (8 / 255, "linf", "8/255 (0.03137)"),
        (1.0, "linf", "1 (255/255)"),
        (0.5, "l2", "0.5 (L2)"),
    ],
)
def test_radii_are_told_in_pixel_units_and_grey_levels(eps: float, norm: Norm, text: str) -> None:
    assert radius_text(eps, norm) == text


def test_every_level_of_a_verdict_has_an_answer() -> None:
    from typing import get_args, get_type_hints

    from steadygrad.evaluation.masking import Verdict

    assert set(BELIEF) == set(get_args(get_type_hints(Verdict)["level"]))


def test_sentences_name_the_strongest_attack_and_what_the_others_added(
    audited: AuditResult,
) -> None:
    rows = attack_rows(audited.outcomes, audited.clean_correct)
    sentences = accuracy_sentences(audited.clean, audited.worst_case, rows, 0.1)
    assert sentences == [
        "Without attack, 97.0\u00a0% (95\u00a0% interval 93.6–98.6) are classified correctly.",
        "The strongest single attack, PGD(50), margin loss, 5 restarts, leaves 49.5\u00a0%; the "
        "others broke 3 more images.",
    ]
    alone = rows[:-1]
    worst = AccuracyPoint(eps=0.1, correct=99, n=200)
    assert accuracy_sentences(audited.clean, worst, alone, 0.1)[1] == (
        "The strongest attack, PGD(50), margin loss, 5 restarts, broke everything that any attack "
        "broke."
    )


def test_a_model_that_guesses_has_nothing_to_defend() -> None:
    clean, worst = AccuracyPoint(0.0, 12, 100), AccuracyPoint(0.1, 3, 100)
    sentences = accuracy_sentences(clean, worst, [], 0.1)
    assert sentences[1].startswith("That is no better than guessing (10.0\u00a0%)")
    assert len(accuracy_sentences(clean, worst, [], None)) == 1


def test_suspicious_findings_come_first_and_untested_ones_last(audited: AuditResult) -> None:
    cards = finding_cards(audited.findings)
    assert [card.status for card in cards] == ["suspicious", "passed", "not tested"]
    assert (cards[0].measured, cards[0].threshold, cards[0].unit) == (
        "1.53",
        "1",
        "points of accuracy",
    )
    assert cards[2].measured is None


def test_fractions_are_told_in_percent(audited: AuditResult) -> None:
    card = finding_cards(audited.findings)[1]
    assert (card.measured, card.threshold, card.unit) == ("1.25\u00a0%", "5\u00a0%", "of examples")


def test_findings_are_counted_in_a_sentence(audited: AuditResult) -> None:
    suspicious, passed, untested = (audited.findings[index] for index in (2, 0, 1))
    assert finding_count_text(audited.findings) == (
        "1 of 3 diagnostics is suspicious, 1 passed, 1 not tested"
    )
    assert finding_count_text([suspicious] * 2) == "2 of 2 diagnostics are suspicious, 0 passed"
    assert finding_count_text([passed, passed, untested]) == (
        "None of 3 diagnostics is suspicious, 2 passed, 1 not tested"
    )


def test_omissions_of_one_reason_stand_together() -> None:
    left_out = ["mim: part of the full budget", "nothing else", "nes: too slow: 3 h"]
    assert omissions([*left_out, "apgd: part of the full budget"]) == [
        ("mim, apgd", "part of the full budget"),
        ("nothing else", ""),
        ("nes", "too slow: 3 h"),
    ]


def test_evidence_is_text_and_leaves_pictures_out() -> None:
    evidence = {
        "broken_by_weaker": 1200,
        "is_random": True,
        "none": None,
        "radii": [0.1, 0.25],
        "curve": list(range(100)),
        "grid": [[1.0]],
        "attack": {"name": "pgd", "steps": 50},
    }
    assert evidence_rows(evidence) == [
        ("broken by weaker", "1,200"),
        ("is random", "yes"),
        ("none", "–"),
        ("radii", "0.1, 0.25"),
        ("attack", "name pgd, steps 50"),
    ]


def test_the_threat_model_says_what_the_attacks_knew(audited: AuditResult) -> None:
    facts = dict(threat_model(audited.outcomes, 0.1, "linf"))
    assert "at most eps = 0.1 (25.5/255) of the pixel range (L-infinity)" in facts["May change"]
    for part in ("white-box", "outputs alone", "nothing (noise)"):
        assert part in facts["Knows"]
    assert "transfer" not in facts["Knows"]
    noise = dict(threat_model(audited.outcomes[:1], 0.5, "l2"))
    assert noise["Knows"] == "Nothing (noise)."
    assert "Euclidean length of at most eps = 0.5" in noise["May change"]


def test_costs_add_up(audited: AuditResult) -> None:
    facts = dict(cost_facts(audited))
    assert (
        "5,249 images sent through the model and 2,246 differentiated: 26 and 11"
        in (facts["Work of the attacks"])
    )
    assert facts["Time"].startswith("5\u00a0min 21\u00a0s on cpu, 4\u00a0min 16\u00a0s of it")
    assert facts["Batches"].startswith("64 images at a time, chosen by")


def test_provenance_holds_what_decides_the_result(audited: AuditResult) -> None:
    rows = dict(provenance_rows(audited))
    assert (rows["seed"], rows["eps"], rows["norm"]) == ("3", "0.1", "L-infinity")
    assert rows["data: digest"] == "ef" * 32
    assert rows["model: fingerprint"] == "cd" * 32
    assert "data: note" not in rows
    named = dataclasses.replace(audited, data={"class_names": ["a", "b"]}, budget=None)
    assert dict(provenance_rows(named))["data: class names"] == "a, b"
    assert rows["in Python"].endswith(
        "(model, images, labels, eps=0.1, norm='linf', budget='quick', batch_size=64, seed=3)"
    )
    assert "budget=None, attacks=[...]" in dict(provenance_rows(named))["in Python"]
    assert dict(provenance_rows(named))["budget"] == "attacks of the caller's own"


def test_which_of_autoattacks_parts_ran() -> None:
    def of_autoattack(**settings: object) -> AttackOutcome:
        attacked = torch.arange(30) < 20
        return outcome("square", "query", attacked, 0, {"name": "autoattack", **settings})

    square = of_autoattack(version="standard", attacks=["square"])
    assert autoattack_sentence([square]) == (
        "Of AutoAttack ran Square (on 20 images); APGD-CE, APGD-T and FAB-T did not."
    )
    whole = of_autoattack(version="standard", attacks=None)
    said = autoattack_sentence([whole])
    assert said is not None and said.endswith(", all that its standard has.")
    assert autoattack_sentence([]) is None


def test_apgd_of_our_own_counts_as_the_part_of_autoattack_that_it_is() -> None:
    def of_apgd(attack: APGD, n: int) -> AttackOutcome:
        return outcome("x", "white-box", torch.arange(30) < n, 0, describe_attack(attack))

    said = autoattack_sentence(
        [
            of_apgd(APGD(eps=0.1), 30),
            of_apgd(APGD(eps=0.1, loss="dlr", target="nearest"), 9),
            of_apgd(APGD(eps=0.1, loss="margin"), 8),
        ]
    )
    assert said == (
        "Of AutoAttack ran APGD-CE (on 30 images) and APGD-T (on 9 images); FAB-T and Square did "
        "not."
    )
