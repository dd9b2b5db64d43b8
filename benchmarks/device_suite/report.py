"""The file of an accelerator run as Markdown tables of ratios."""

from collections.abc import Iterator, Mapping
from typing import Any

from device_suite.record import Values

__all__ = ["markdown"]

_REFERENCE = "plain"
_NAIVE, _EXACT = "exact, plain autograd", "exact penalty"


def markdown(content: Values) -> str:
    """Return the tables of everything that the file holds, and what it lacks."""
    return "\n".join(_lines(content)) + "\n"


def _lines(content: Values) -> Iterator[str]:
    machine = content["machine"]
    memory = f", {machine['memory_gib']} GiB" if machine["memory_gib"] else ""
    size = "; tiny networks, which say nothing about speed" if machine["is_tiny"] else ""
    yield f"# {machine['device']}{memory}, PyTorch {machine['torch']}{size}"
    finished = content["finished"]
    yield from _checks(finished, content["failed"])
    yield from _steps(_section(finished, "steps/"))
    yield from _kernels(_section(finished, "kernels/"))
    yield from _training(_section(finished, "training/"))
    yield from _battery(_section(finished, "battery/"))
    failed = {k: v for k, v in content["failed"].items() if not k.startswith("checks/")}
    for title, missing in (("Failed", failed), ("Left out", content["left_out"])):
        if missing:
            yield from ("", f"## {title}", "")
            yield from (f"- {key}: {why}" for key, why in missing.items())


def _checks(finished: Values, failed: Values) -> Iterator[str]:
    passed = _section(finished, "checks/")
    wrong = _section(failed, "checks/")
    if not passed and not wrong:
        return
    yield from ("", "## Checks against the CPU", "")
    yield f"{len(passed)} of {len(passed) + len(wrong)} checks passed."
    differences = [v["largest_difference"] for v in passed.values() if "largest_difference" in v]
    if differences:
        yield f"Largest relative difference: {max(differences):.1e}."
    yield from (f"- **failed** {name}: {why}" for name, why in wrong.items())
    skipped = {name: v["skipped"] for name, v in passed.items() if "skipped" in v}
    yield from (f"- skipped {name}: {why}" for name, why in skipped.items())


def _steps(finished: Values) -> Iterator[str]:
    """Yield a table for every configuration; a row is a network, a column a kind of step."""
    by_configuration: dict[str, dict[str, Values]] = {}
    for key, values in finished.items():
        network, _, configuration = key.partition("/")
        by_configuration.setdefault(configuration, {})[network] = values
    for configuration, networks in by_configuration.items():
        names = list(dict.fromkeys(n for v in networks.values() for n in v["steps"]))
        yield from ("", f"## A training step: {configuration}", "")
        yield "Ratio to the network's own plain step, and peak memory in ratio to its plain step's."
        yield ""
        others = [name for name in names if name != _REFERENCE]
        yield f"| network (batch) | plain, ms | {' | '.join(others)} |"
        yield f"|---|---|{'---|' * len(others)}"
        for network, values in networks.items():
            steps = values["steps"]
            plain = steps[_REFERENCE]
            cells = [_ratio(steps.get(name), plain) for name in others]
            first = f"{plain['milliseconds']:.2f}" if "milliseconds" in plain else "failed"
            yield f"| {network} ({values['batch']}) | {first} | {' | '.join(cells)} |"
        for network, values in networks.items():
            for name, step in values["steps"].items():
                if "error" in step:
                    yield f"- {network}, {name}: {step['error']}"
            if "one_graph_error" in values:
                error = values["one_graph_error"]
                yield f"- {network}, one graph: relative error of its gradient {error}"


def _ratio(step: Mapping[str, Any] | None, plain: Mapping[str, Any]) -> str:
    if step is None:
        return ""
    if "error" in step or "error" in plain:
        return "failed"
    text = f"{step['milliseconds'] / plain['milliseconds']:.2f}"
    if "peak_mib" in step:
        text += f" (memory {step['peak_mib'] / plain['peak_mib']:.2f})"
    return text


def _kernels(finished: Values) -> Iterator[str]:
    if not finished:
        return
    yield from ("", "## What the device does in a step, float32", "")
    yield "| network | step | kernels | ms of the device | longest kernel |"
    yield "|---|---|---|---|---|"
    for network, steps in finished.items():
        for name in (_REFERENCE, _EXACT):
            values = steps[name]
            longest, (count, milliseconds) = next(iter(values["longest"].items()))
            yield (
                f"| {network} | {name} | {values['kernels']:.0f} | "
                f"{values['device_milliseconds']:.2f} | `{longest[:40]}`: {milliseconds:.2f} ms "
                f"in {count:.0f} |"
            )


def _training(finished: Values) -> Iterator[str]:
    if not finished:
        return
    yield from ("", "## Training on MNIST with the penalty, 15 epochs", "")
    yield "| network, step | seconds | ms a step | clean accuracy |"
    yield "|---|---|---|---|"
    for name, values in finished.items():
        accuracy = values.get("clean_accuracy")
        clean = f"{accuracy:.2%}" if accuracy is not None else "made-up images"
        yield (
            f"| {name} | {values['seconds_for_15_epochs']:.1f} | "
            f"{values['milliseconds_a_step']:.2f} | {clean} |"
        )


def _battery(finished: Values) -> Iterator[str]:
    if not finished:
        return
    yield from ("", "## The audit's standard battery, every image surviving", "")
    yield "| network | images a second | slowest attack |"
    yield "|---|---|---|"
    for name, values in finished.items():
        timed = {k: v["seconds"] for k, v in values["attacks"].items() if "seconds" in v}
        slowest = max(timed, key=lambda k: timed[k])
        share = timed[slowest] / sum(timed.values())
        rate = f"{values['images_per_second']:.2f}"
        yield f"| {name} | {rate} | {slowest} ({share:.0%} of the time) |"
    for name, values in finished.items():
        yield from (f"- {name}, not run: {why}" for why in values["untested"])


def _section(values: Values, prefix: str) -> Values:
    return {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
