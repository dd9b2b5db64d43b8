"""The audit's standard battery against the whole of standard AutoAttack: worst case and passes.

Both meet the same images of each network, in L-infinity; diagnostics are off. Passes are images
sent through the network, forward and backward. Needs ``pip install 'steadygrad[autoattack]'``; one
to two hours on one slow core, most of them AutoAttack's. ``--keep FOLDER`` goes on where an earlier
call stopped::

    python benchmarks/audit_against_autoattack.py --images 100 --keep FOLDER
"""

import argparse
from pathlib import Path

from small_networks import TrainedNetwork, trained_networks

from steadygrad.attacks import AutoAttack
from steadygrad.evaluation import AuditResult, audit
from steadygrad.evaluation.auditing import BUDGETS, Budget

NETWORKS = ("digits-gelu", "digits-complex", "mnist-gelu", "cifar10")


def main() -> None:
    """Run both on every network and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--budget", choices=BUDGETS, default="standard")
    parser.add_argument("--only", nargs="*", default=NETWORKS, help="parts of the networks' names")
    parser.add_argument("--keep", type=Path, default=None, help="folder for weights and results")
    parser.add_argument("--attacks", action="store_true", help="a line for each attack too")
    asked = parser.parse_args()
    print(
        "| network | eps | clean, % | AutoAttack, % | audit, % | points | passes, audit / "
        "AutoAttack | seconds, audit / AutoAttack |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for network in trained_networks(asked.images, asked.only, asked.keep):
        theirs = result(network, None, asked.keep)
        ours = result(network, asked.budget, asked.keep)
        print(line(network, ours, theirs), flush=True)
        if asked.attacks:
            for outcome in ours.outcomes:
                print(
                    f"    {outcome.name}: {int(outcome.broken.sum())} of "
                    f"{int(outcome.attacked.sum())}, alone {ours.broken_by_none_but(outcome)}, "
                    f"passes {outcome.queries + outcome.gradients:,}, {outcome.seconds:.1f} s"
                )


def result(network: TrainedNetwork, budget: Budget | None, keep: Path | None) -> AuditResult:
    """Return the audit with a battery, or with AutoAttack alone where ``budget`` is None."""
    eps, name = network.about.linf, network.about.name.replace(", ", "-")
    return audit(
        network.model,
        network.images,
        network.labels,
        eps=eps,
        budget=budget,
        attacks=() if budget is not None else (AutoAttack(eps=eps),),
        diagnostics=False,
        out=None if keep is None else keep / f"{name}-{budget or 'autoattack'}",
    )


def line(network: TrainedNetwork, ours: AuditResult, theirs: AuditResult) -> str:
    """Return a line of the table."""
    outcomes = ours.outcomes, theirs.outcomes
    passes = [sum(each.queries + each.gradients for each in side) for side in outcomes]
    seconds = [sum(each.seconds for each in side) for side in outcomes]
    points = 100 * (ours.worst_case.accuracy - theirs.worst_case.accuracy)
    return (
        f"| {network.about.name} | {network.about.linf:.3g} | {100 * ours.clean.accuracy:.0f} | "
        f"{100 * theirs.worst_case.accuracy:.0f} | {100 * ours.worst_case.accuracy:.0f} | "
        f"{points:+.1f} | {passes[0]:,} / {passes[1]:,} ({passes[0] / passes[1]:.2f}) | "
        f"{seconds[0]:.0f} / {seconds[1]:.0f} ({seconds[0] / seconds[1]:.2f}) |"
    )


if __name__ == "__main__":
    main()
