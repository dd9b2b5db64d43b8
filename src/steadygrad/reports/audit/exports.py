"""An audit in the formats of other programs: build servers, code hosts, leaderboards, hubs."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import steadygrad
from steadygrad.atomic_file import write_atomically
from steadygrad.evaluation.auditing.gate import Gate
from steadygrad.evaluation.auditing.result import AuditResult
from steadygrad.markdown_text import markdown_text
from steadygrad.parts import number_text
from steadygrad.store import make_folder

__all__ = [
    "EXPORTS",
    "export_audit",
    "junit_xml",
    "markdown_summary",
    "model_index",
    "robustbench_json",
    "sarif_json",
]

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def export_audit(
    form: str, result: AuditResult, path: Path | str, gate: Gate | None = None
) -> None:
    """Write an audit in one of the forms of ``EXPORTS``; the folder is made if it is missing.

    Raises:
        KeyError: there is no such form.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    text = EXPORTS[form](result, gate or Gate())
    make_folder(path.parent)
    write_atomically(path, text.encode())


def junit_xml(result: AuditResult, gate: Gate) -> str:
    """Return a JUnit test suite: a case for accuracy, verdict, each attack and each diagnostic.

    Only what fails the gate is a failure, so that the report agrees with the exit code; what a
    diagnostic found suspicious stands in its output. What did not run is skipped.
    """
    suite = ElementTree.Element("testsuite", name=_xml(f"audit of {_name(result)}"))
    for name, failure in (
        ("accuracy", gate.accuracy_failure(result)),
        ("verdict", gate.verdict_failure(result)),
    ):
        case = _case(suite, "audit", name)
        if failure is not None:
            found = ElementTree.SubElement(case, "failure", message=_xml(failure))
            found.text = _xml(result.verdict.summary)
    for outcome in result.outcomes:
        case = _case(suite, "audit.attack", outcome.name, outcome.seconds)
        ElementTree.SubElement(case, "system-out").text = _xml(
            f"broke {int(outcome.broken.sum())} of {int(outcome.attacked.sum())} images"
        )
    for finding in result.findings:
        case = _case(suite, "audit.diagnostic", finding.name)
        if finding.status == "not tested":
            ElementTree.SubElement(case, "skipped", message=_xml(finding.meaning))
        else:
            said = f"{finding.status}: {finding.meaning}"
            ElementTree.SubElement(case, "system-out").text = _xml(said)
    for sentence in result.untested:
        case = _case(suite, "audit.not-tested", sentence.partition(":")[0])
        ElementTree.SubElement(case, "skipped", message=_xml(sentence))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", "0")
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    suite.set("time", f"{result.seconds:.3f}")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def sarif_json(result: AuditResult, gate: Gate) -> str:
    """Return a SARIF 2.1.0 log: the gate's failures, and suspicious findings.

    The failures and what the verdict "masked" rests on are errors, other findings warnings.
    """
    found = [
        ("gate", "error", failure)
        for failure in (gate.accuracy_failure(result), gate.verdict_failure(result))
        if failure is not None
    ]
    suspicious = [finding for finding in result.findings if finding.status == "suspicious"]
    damning = result.verdict.reasons if result.verdict.level == "masked" else ()
    for finding in suspicious:
        level = "error" if finding.name in damning else "warning"
        found.append((finding.name, level, finding.meaning))
    rules = [{"id": "gate", "shortDescription": {"text": "What the audit must reach."}}]
    rules += [{"id": each.name, "shortDescription": {"text": each.question}} for each in suspicious]
    log = {
        "$schema": _SARIF,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "steadygrad audit",
                        "version": steadygrad.__version__,
                        "rules": rules,
                    }
                },
                "results": [
                    {
                        "ruleId": rule,
                        "level": level,
                        "message": {"text": f"{_name(result)}: {text}"},
                        "locations": [
                            {"physicalLocation": {"artifactLocation": {"uri": "audit.json"}}}
                        ],
                    }
                    for rule, level, text in found
                ],
                "properties": {"verdict": result.verdict.level, "eps": result.eps},
            }
        ],
    }
    return _json(log)


def robustbench_json(result: AuditResult, gate: Gate) -> str:  # noqa: ARG001 (forms are called alike)
    """Return a record with the keys of RobustBench's model files; accuracies are texts in percent.

    ``autoattack_acc`` is None unless AutoAttack ran whole; ``worst_case_acc`` is over all attacks,
    and None where it is not established.
    """
    whole = [
        each
        for each in result.outcomes
        if each.attack.get("version") == "standard" and each.attack.get("attacks", 0) is None
    ]
    autoattack = whole[0].accuracy(result.clean_correct) if whole else None
    worst = result.worst_case.accuracy if result.is_established else None
    return _json(
        {
            "name": _name(result),
            "dataset": result.data.get("name"),
            "norm": {"linf": "Linf", "l2": "L2"}[result.norm],
            "eps": number_text(result.eps),
            "n": result.n,
            "clean_acc": _acc(result.clean.accuracy),
            "autoattack_acc": None if autoattack is None else _acc(autoattack.accuracy),
            "worst_case_acc": None if worst is None else _acc(worst),
            "unreliable": result.verdict.level != "no sign of masking",
            "verdict": result.verdict.level,
        }
    )


def markdown_summary(result: AuditResult, gate: Gate) -> str:
    """Return a summary for a pull request: the answer, the gate, and a table of attacks."""
    failure = gate.failure(result)
    worst = (
        f"**{_percent(result.worst_case.accuracy)}** (95 % interval "
        f"{_percent(result.worst_case.ci95[0])} to {_percent(result.worst_case.ci95[1])})"
        if result.is_established
        else "**not established**"
    )
    lines = [
        f"### Robustness audit of {markdown_text(_name(result))}",
        "",
        *([f"**Failed:** {markdown_text(failure)}.", ""] if failure is not None else []),
        f"- Correct without attack: {_percent(result.clean.accuracy)} of {result.n:,} images",
        f"- Correct in the worst case at eps {number_text(result.eps)} ({result.norm}): {worst}",
        f"- Verdict: **{result.verdict.level}**. {markdown_text(result.verdict.summary)}",
        *(f"- Accepted: {name}" for name in result.accepted),
        "",
        "| attack | correct | broke |",
        "|---|---:|---:|",
    ]
    for outcome in result.outcomes:
        point = outcome.accuracy(result.clean_correct)
        correct = "" if point is None else _percent(point.accuracy)
        lines.append(
            f"| {markdown_text(outcome.name)} | {correct} | "
            f"{int(outcome.broken.sum())} of {int(outcome.attacked.sum())} |"
        )
    return "\n".join(lines) + "\n"


def model_index(result: AuditResult, gate: Gate) -> str:  # noqa: ARG001 (forms are called alike)
    """Return the ``model-index`` block of a model card, YAML; without what is not established."""
    quoted = json.dumps
    data = str(result.data.get("name") or "unknown")
    metrics = [("accuracy", "Accuracy", result.clean.accuracy)]
    if result.is_established:
        name = f"Accuracy in the worst case, eps {number_text(result.eps)} ({result.norm})"
        metrics.append(("accuracy", name, result.worst_case.accuracy))
    lines = [
        "model-index:",
        f"- name: {quoted(_name(result))}",
        "  results:",
        "  - task:",
        "      type: image-classification",
        "    dataset:",
        f"      name: {quoted(data)}",
        f"      type: {quoted(data)}",
        f"      split: {quoted(str(result.data.get('split') or 'unknown'))}",
        "    metrics:",
    ]
    for kind, name, value in metrics:
        lines += [
            f"    - type: {kind}",
            f"      name: {quoted(name)}",
            f"      value: {value:.4f}",
        ]
    return "\n".join(lines) + "\n"


EXPORTS: Mapping[str, Callable[[AuditResult, Gate], str]] = {
    "junit": junit_xml,
    "sarif": sarif_json,
    "robustbench": robustbench_json,
    "markdown": markdown_summary,
    "model-index": model_index,
}
"""Form to the function that writes an audit in it."""


def _case(suite: ElementTree.Element, group: str, name: str, seconds: float = 0.0) -> Any:
    values = {"classname": group, "name": _xml(name), "time": f"{seconds:.3f}"}
    return ElementTree.SubElement(suite, "testcase", values)


def _xml(text: str) -> str:
    """Return the text without the control characters that XML has no way to write."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


def _name(result: AuditResult) -> str:
    return str(result.model.get("name") or "a model")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _acc(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _json(record: Any) -> str:
    return json.dumps(record, indent=2, allow_nan=False) + "\n"
