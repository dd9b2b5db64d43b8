"""What has to be the same for an audit to come out the same."""

from collections.abc import Mapping
from typing import Any

from steadygrad.evaluation.auditing.result import AuditResult

__all__ = ["provenance_rows"]


def provenance_rows(result: AuditResult) -> list[tuple[str, str]]:
    """Return (what, value): model, data, settings, versions, with their digests."""
    model, data = _known(result.model), _known(result.data)
    call = f"eps={result.eps!r}, norm={result.norm!r}, budget={result.budget!r}"
    if result.budget is None:
        call += ", attacks=[...]"
    return [
        (
            "in Python",
            f"steadygrad.evaluation.auditing.audit(model, images, labels, {call}, "
            f"batch_size={result.batch_size.size}, seed={result.seed})",
        ),
        *((f"model: {key}", value) for key, value in model),
        *((f"data: {key}", value) for key, value in data),
        ("eps", repr(result.eps)),
        ("norm", {"linf": "L-infinity", "l2": "L2"}[result.norm]),
        ("budget", result.budget or "attacks of the caller's own"),
        ("seed", str(result.seed)),
        ("device", result.device),
        ("batch size", str(result.batch_size.size)),
        *((name, version) for name, version in result.versions.items()),
        ("finished", result.created),
    ]


def _known(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    texts = {
        key: ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        for key, value in values.items()
        if value is not None
    }
    return [(key.replace("_", " "), text) for key, text in texts.items() if text]
