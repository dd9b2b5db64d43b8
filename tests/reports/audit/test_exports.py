"""An audit in the formats of others: well formed, agreeing with the gate, hostile text unharmed."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from made_up_audit import made_up_audit
from steadygrad.evaluation.auditing import AuditResult, Gate
from steadygrad.evaluation.masking import Verdict
from steadygrad.reports.audit import EXPORTS, export_audit
from steadygrad.reports.audit.exports import (
    junit_xml,
    markdown_summary,
    model_index,
    robustbench_json,
    sarif_json,
)

HOSTILE = 'a<b>&"[bold]|`*\x01é\n# c'
FAILING = Gate(fail_under=0.9, fail_on=("doubtful",))


def masked(**changes: object) -> AuditResult:
    verdict = Verdict(level="masked", summary=HOSTILE, causes=(), reasons=())
    return made_up_audit(verdict=verdict, **changes)


def test_junit_counts_the_gates_failures_and_skips_what_did_not_run() -> None:
    suite = ElementTree.fromstring(junit_xml(made_up_audit(), FAILING))[0]
    assert suite.get("failures") == "2" and suite.get("skipped") == "3"
    assert int(suite.get("tests", "")) == len(suite) == 2 + 5 + 3 + 2
    assert ElementTree.fromstring(junit_xml(made_up_audit(), Gate()))[0].get("failures") == "0"


def test_sarif_has_a_rule_for_every_result() -> None:
    run = json.loads(sarif_json(made_up_audit(), FAILING))["runs"][0]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert [each["ruleId"] for each in run["results"]] == [
        "gate",
        "gate",
        "black-box-beats-white-box",
    ]
    assert {each["ruleId"] for each in run["results"]} <= rules
    assert [each["level"] for each in run["results"]] == ["error", "error", "warning"]


def test_sarif_of_a_masked_model_has_what_it_rests_on_as_an_error_whoever_found_it() -> None:
    found = next(each for each in made_up_audit().findings if each.status == "suspicious")
    theirs = replace(found, name="of-a-plugin-that-is-gone")
    verdict = Verdict(level="masked", summary="", causes=(), reasons=(theirs.name,))
    log = json.loads(sarif_json(made_up_audit(findings=(found, theirs), verdict=verdict), Gate()))
    levels = {each["ruleId"]: each["level"] for each in log["runs"][0]["results"]}
    assert levels == {found.name: "warning", theirs.name: "error"}


def test_robustbench_keys_hold_texts_and_no_number_that_is_not_established() -> None:
    record = json.loads(robustbench_json(made_up_audit(eps=8 / 255), Gate()))
    assert record["eps"] == "8/255" and record["clean_acc"] == "97.00"
    assert record["worst_case_acc"] == "48.00" and record["autoattack_acc"] is None
    assert record["unreliable"] is True
    assert json.loads(robustbench_json(masked(), Gate()))["worst_case_acc"] is None


def test_a_summary_says_why_it_failed_and_what_is_not_established() -> None:
    text = markdown_summary(made_up_audit(), FAILING)
    assert "**Failed:** the accuracy in the worst case is 48.0 %" in text
    assert "| fgsm | 69.0 % | 56 of 194 |" in text
    assert "**not established**" in markdown_summary(masked(), Gate())


def test_a_model_index_is_yaml_without_what_is_not_established() -> None:
    entry = yaml.safe_load(model_index(made_up_audit(), Gate()))["model-index"][0]
    metrics = entry["results"][0]["metrics"]
    assert entry["name"] == "mnist-complex" and [m["value"] for m in metrics] == [0.97, 0.48]
    entry = yaml.safe_load(model_index(masked(), Gate()))["model-index"][0]
    assert len(entry["results"][0]["metrics"]) == 1


@pytest.mark.parametrize("form", EXPORTS)
def test_hostile_names_stay_text(form: str, tmp_path: Path) -> None:
    result = masked(model={"name": HOSTILE}, data={"name": HOSTILE, "split": HOSTILE})
    path = tmp_path / "new" / "file"
    export_audit(form, result, path, FAILING)
    text = path.read_text(encoding="utf-8")
    if form == "junit":
        suite = ElementTree.fromstring(text)[0]
        assert HOSTILE.replace("\x01", "\ufffd") in str(suite.get("name"))
    elif form == "model-index":
        assert yaml.safe_load(text)["model-index"][0]["name"] == HOSTILE
    elif form == "markdown":
        assert text.startswith('### Robustness audit of a\\<b\\>\\&"\\[bold\\]\\|\\`\\*')
    elif form == "robustbench":
        assert json.loads(text)["name"] == HOSTILE
    else:
        message = json.loads(text)["runs"][0]["results"][0]["message"]["text"]
        assert message.startswith(HOSTILE)
