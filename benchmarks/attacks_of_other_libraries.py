"""PGD, MIM and DeepFool against the same attacks of foolbox, torchattacks and ART, on one network.

Every library attacks the same images in batches of the same size with the same settings: PGD(8)
with steps of 1.85 * eps / 8 and a random start, in L-infinity and L2; MIM(10) with steps of
eps / 10 and decay 1; DeepFool with 9 candidates, overshoot 0.02 and at most 50 steps. All take
turns; the ratios are those of median times (processor seconds on one CPU thread). What counts as
broken is judged here, alike for all. The p-value is that of McNemar's exact test against ours on
the same images: random starts alone move a few borderline images.

Known differences: foolbox's MIM adds up the signs of the gradients where the paper, the others and
ours add up gradients divided by their L1 norm. torchattacks draws the L2 start's distance evenly
from [0, eps], nearer to the image than a draw from the ball, which helps a short attack. Its
DeepFool takes one image at a time and stops as soon as that changes class, some by less than the
rounding of a batch: judged together with others, those are back in their class. ART's DeepFool
leaves the predicted class, which puts some of the images right that the network has wrong; the
others leave those alone. ART goes through numpy.

Run: python benchmarks/attacks_of_other_libraries.py --threads 1 [--images 1000] [--rounds 5]
"""

import argparse
import json
import math
import platform
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from interleaved import measure_in_turn
from mnist_networks import is_right, load_images, trained_network
from torch import Tensor, nn

from steadygrad.attacks import PGD, Attack, DeepFool, MomentumIterative, relative_perturbation
from steadygrad.evaluation import wilson_interval
from steadygrad.evaluation.statistics import mean_interval, paired_comparison
from steadygrad.training import load_run_model

with warnings.catch_warnings():
    # foolbox imports from a scipy namespace that is on its way out.
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox
    import torchattacks
    from art.attacks import evasion
    from art.estimators.classification import PyTorchClassifier

FOOLBOX: Any = foolbox.attacks  # whose stubs hide what it exports
OURS = "steadygrad"
BATCH_SIZE = 250
REACH, PGD_STEPS, MIM_STEPS, DEEPFOOL_STEPS, OVERSHOOT, CLASSES = 1.85, 8, 10, 50, 0.02, 10
NETWORK, STRENGTH = "yeats2021-mnist-complex", 0.02

Craft = Callable[[Tensor, Tensor], Tensor]
"""Images and labels of one batch to adversarial images."""


def main() -> None:
    """Attack with every library in turn; print times, ratios and success."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    source, train, (images, labels) = load_images(arguments.images)
    if arguments.run is None:
        title, model = (
            f"{NETWORK}, penalty {STRENGTH:g}",
            trained_network(NETWORK, STRENGTH, *train),
        )
    else:
        title, model = arguments.run.name, load_run_model(arguments.run).model
    model, images, labels = model.to(device), images.to(device), labels.to(device)
    few = slice(0, arguments.deepfool_images)
    contests = {
        f"PGD({PGD_STEPS}) in L-infinity, eps {arguments.eps:g}": (
            _pgd(model, images, arguments.eps, "linf"),
            slice(None),
        ),
        f"PGD({PGD_STEPS}) in L2, eps {arguments.l2_eps:g}": (
            _pgd(model, images, arguments.l2_eps, "l2"),
            slice(None),
        ),
        f"MIM({MIM_STEPS}) in L-infinity, eps {arguments.eps:g}": (
            _mim(model, images, arguments.eps),
            slice(None),
        ),
        "DeepFool": (_deepfool(model, images), few),
    }
    report = {
        "network": title,
        "source": source,
        "threads": arguments.threads,
        "device": str(device),
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "rounds": arguments.rounds,
        "clean_accuracy": is_right(model, images, labels).double().mean().item(),
        "attacks": {
            name: _contest(model, crafts, images[part], labels[part], arguments.rounds)
            for name, (crafts, part) in contests.items()
        },
    }
    print(json.dumps(report, indent=2) if arguments.json else _as_text(report))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--deepfool-images", type=int, default=100, help="torchattacks is slow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--eps", type=float, default=0.1)
    parser.add_argument("--l2-eps", type=float, default=1.5)
    parser.add_argument("--run", type=Path, help="a trained MNIST run instead of one epoch's work")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _contest(
    model: nn.Module, crafts: Mapping[str, Craft], images: Tensor, labels: Tensor, rounds: int
) -> dict[str, Any]:
    """Return, by library, its median time and what its last round did to the images."""
    found: dict[str, Tensor] = {}

    def attack(name: str) -> None:
        parts = [
            crafts[name](*batch)
            for batch in zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True)  # type: ignore[no-untyped-call] # torch leaves it untyped
        ]
        found[name] = torch.cat(parts).to(images)
        if images.is_cuda:
            torch.cuda.synchronize(images.device)

    torch.manual_seed(0)
    contestants = {name: lambda name=name: attack(name) for name in crafts}
    timings = measure_in_turn(contestants, rounds, warm_up=1)
    is_alone = images.device.type == "cpu" and torch.get_num_threads() == 1
    seconds = {
        name: timing.processor_seconds if is_alone else timing.wall_seconds
        for name, timing in timings.items()
    }
    survives = {name: is_right(model, adversarial, labels) for name, adversarial in found.items()}
    return {
        name: {
            "seconds": seconds[name],
            "spread": timings[name].spread,
            "ratio": seconds[name] / seconds[OURS],
            "n": len(labels),
            "broken": int((~survives[name]).sum()),
            "broken_by_one_only": paired_comparison(survives[OURS], survives[name]).discordant,
            "p_value": paired_comparison(survives[OURS], survives[name]).p_value,
            "largest_change": (found[name] - images).abs().max().item(),
            "longest_change": (found[name] - images).flatten(1).norm(dim=1).max().item(),
            "relative_change": _relative_change(found[name], images, survives[name]),
        }
        for name in crafts
    }


def _relative_change(adversarial: Tensor, images: Tensor, survives: Tensor) -> dict[str, Any]:
    """Return the mean of ``|change| / |image|`` over broken images that were changed."""
    relative = relative_perturbation(images, adversarial)
    relative = relative[~survives & (relative > 0)].cpu()
    mean = relative.double().mean().item() if len(relative) else math.nan
    return {"mean": mean, "ci95": mean_interval(relative)}


def _pgd(model: nn.Module, images: Tensor, eps: float, norm: str) -> dict[str, Craft]:
    step, is_l2 = REACH * eps / PGD_STEPS, norm == "l2"
    ours = PGD(eps=eps, steps=PGD_STEPS, norm="l2" if is_l2 else "linf")
    settings = {"eps": eps, "alpha": step, "steps": PGD_STEPS}
    by_foolbox = FOOLBOX.L2PGD if is_l2 else FOOLBOX.LinfPGD
    by_torchattacks = torchattacks.PGDL2 if is_l2 else torchattacks.PGD
    by_art = evasion.ProjectedGradientDescentPyTorch(
        _art_classifier(model, images),
        norm=2 if is_l2 else math.inf,
        eps=eps,
        eps_step=step,
        max_iter=PGD_STEPS,
        num_random_init=1,
        batch_size=BATCH_SIZE,
        verbose=False,
    )
    return {
        OURS: _by_steadygrad(model, ours),
        "foolbox": _by_foolbox(model, by_foolbox(abs_stepsize=step, steps=PGD_STEPS), eps),
        "torchattacks": by_torchattacks(model, **settings),
        "ART": _by_art(by_art),
    }


def _mim(model: nn.Module, images: Tensor, eps: float) -> dict[str, Craft]:
    step = eps / MIM_STEPS
    by_foolbox = FOOLBOX.LinfMomentumIterativeFastGradientMethod(
        momentum=1.0, abs_stepsize=step, steps=MIM_STEPS
    )
    by_art = evasion.MomentumIterativeMethod(
        _art_classifier(model, images),
        eps=eps,
        eps_step=step,
        decay=1.0,
        max_iter=MIM_STEPS,
        batch_size=BATCH_SIZE,
        verbose=False,
    )
    return {
        OURS: _by_steadygrad(model, MomentumIterative(eps=eps, steps=MIM_STEPS)),
        "foolbox": _by_foolbox(model, by_foolbox, eps),
        "torchattacks": torchattacks.MIFGSM(model, eps=eps, alpha=step, steps=MIM_STEPS, decay=1.0),
        "ART": _by_art(by_art),
    }


def _deepfool(model: nn.Module, images: Tensor) -> dict[str, Craft]:
    # The others leave alone what the network has wrong already.
    ours = DeepFool(overshoot=OVERSHOOT, steps=DEEPFOOL_STEPS, start_from_prediction=False)
    by_foolbox = FOOLBOX.L2DeepFoolAttack(
        steps=DEEPFOOL_STEPS, candidates=CLASSES, overshoot=OVERSHOOT
    )
    by_art = evasion.DeepFool(
        _art_classifier(model, images),
        max_iter=DEEPFOOL_STEPS,
        epsilon=OVERSHOOT,
        nb_grads=CLASSES,
        batch_size=BATCH_SIZE,
        verbose=False,
    )
    return {
        OURS: lambda images, labels: ours(model, images, labels),
        "foolbox": _by_foolbox(model, by_foolbox, None),
        "torchattacks": torchattacks.DeepFool(model, steps=DEEPFOOL_STEPS, overshoot=OVERSHOOT),
        "ART": _by_art(by_art),
    }


def _by_steadygrad(model: nn.Module, attack: Attack) -> Craft:
    return lambda images, labels: attack(model, images, labels)


def _by_foolbox(model: nn.Module, attack: Any, eps: float | None) -> Craft:
    wrapped = foolbox.models.pytorch.PyTorchModel(model, bounds=(0, 1))

    def craft(images: Tensor, labels: Tensor) -> Tensor:
        clipped: Tensor = attack(wrapped, images, labels, epsilons=eps)[1]
        return clipped

    return craft


def _by_art(attack: Any) -> Craft:
    def craft(images: Tensor, labels: Tensor) -> Tensor:
        adversarial = attack.generate(x=images.cpu().numpy(), y=labels.cpu().numpy())
        return torch.from_numpy(adversarial)

    return craft


def _art_classifier(model: nn.Module, images: Tensor) -> PyTorchClassifier:
    return PyTorchClassifier(
        model=model,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(images.shape[1:]),
        nb_classes=CLASSES,
        clip_values=(0.0, 1.0),
        device_type="gpu" if images.is_cuda else "cpu",
    )


def _as_text(report: dict[str, Any]) -> str:
    lines = [
        f"{report['network']} on {report['source']}, clean accuracy "
        f"{100 * report['clean_accuracy']:.1f} %, {report['device']}, {report['threads']} threads, "
        f"batches of {BATCH_SIZE}, median of {report['rounds']} interleaved rounds"
    ]
    for attack, libraries in report["attacks"].items():
        n = next(iter(libraries.values()))["n"]
        lines += ["", f"{attack}, {n} images:"]
        lines.append(
            f"  {'':14}{'seconds':>9}{'ratio':>8}{'broken in %, 95 % interval':>30}"
            f"{'by one only':>13}{'p':>7}{'relative change of the broken':>33}"
        )
        for name, found in libraries.items():
            low, high = (100 * bound for bound in wilson_interval(found["broken"], n))
            broken = f"{100 * found['broken'] / n:.1f} ({low:.1f}–{high:.1f})"
            change, interval = found["relative_change"]["mean"], found["relative_change"]["ci95"]
            shown = "" if interval is None else f" ({interval[0]:.4f}–{interval[1]:.4f})"
            lines.append(
                f"  {name:14}{found['seconds']:9.2f}{found['ratio']:8.2f}{broken:>30}"
                f"{found['broken_by_one_only']:13d}{found['p_value']:7.2f}"
                f"{f'{change:.4f}{shown}':>33}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
