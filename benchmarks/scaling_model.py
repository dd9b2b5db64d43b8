"""What a training on many GPUs costs, reckoned from steps measured on one (docs/scaling.md).

A step on many GPUs is the step measured on one plus the exchange of gradients that is not hidden
behind the last backward pass. Networks, steps and memory come from a file that
``benchmarks/accelerator.py`` wrote; links, data and epochs are the options' defaults, to be
replaced by one's own.

Run: python benchmarks/scaling_model.py [FILE.json] [--gpus 64] [--epochs 90]
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from device_suite.record import RecordError, Values, read_content
from device_suite.steps import Subject, subjects

__all__ = ["Cluster", "Cost", "Task", "cost_of_training", "exchange_seconds", "main"]

NETWORKS = ("resnet18", "resnet50", "vit-s")
CONFIGURATIONS = (
    "bfloat16, channels-last, eager",
    "bfloat16, contiguous, eager",
    "tf32, contiguous, eager",
    "float32, contiguous, eager",
)
"""Of a step, in the order in which they are looked for."""

BACKWARD_SHARE = 2 / 3
"""Of a plain step: its backward pass, during which gradients travel. Steps of other kinds hide as
much, since parameters get their gradients in their last backward pass alone."""

BUCKET_BYTES = 25 * 2**20
"""The last bucket of gradients that DDP sends: nothing is left to hide it behind."""

BYTES_PER_GRADIENT = 4


@dataclass(frozen=True)
class Cluster:
    """GPUs and what connects them.

    node_gbytes, network_gbytes: gigabytes a second that each GPU sends within its node and between
        nodes; latency: seconds of one exchange of messages.
    """

    gpus: int = 64
    gpus_per_node: int = 8
    node_gbytes: float = 300.0
    network_gbytes: float = 40.0
    latency: float = 2e-5

    @property
    def nodes(self) -> int:
        """Nodes that the GPUs fill."""
        return -(-self.gpus // self.gpus_per_node)


@dataclass(frozen=True)
class Task:
    """What is trained on; the defaults are ImageNet's.

    image_bytes: of a compressed image; decoded_per_core: images that one processor core decodes
    and crops in a second.
    """

    images: int = 1_281_167
    epochs: int = 90
    image_bytes: float = 1.1e5
    decoded_per_core: float = 150.0


@dataclass(frozen=True)
class Cost:
    """Of one kind of training step on a cluster, and of the whole training.

    step_seconds: of computing and of the exchange that is not hidden, ``visible_seconds``; data is
        assumed to arrive in time. efficiency: computing's share of it.
    cores: processor cores, of all nodes, that decode images as fast; read_gbytes: gigabytes of
        images read a second.
    """

    step_seconds: float
    exchange_seconds: float
    visible_seconds: float
    efficiency: float
    images_per_second: float
    hours: float
    gpu_hours: float
    cores: float
    read_gbytes: float


def exchange_seconds(parameters: int, cluster: Cluster) -> float:
    """Return the seconds in which all GPUs average their float32 gradients.

    Rings within each node, then between nodes, each GPU with its part: ``2 (n - 1) / n`` of the
    bytes pass each link of a ring of n, in ``2 (n - 1)`` messages.
    Source: Patarasuk & Yuan, Journal of Parallel and Distributed Computing 2009.
    """
    inside = min(cluster.gpus, cluster.gpus_per_node)
    total = BYTES_PER_GRADIENT * parameters
    seconds = 0.0
    for ring, size, gbytes in (
        (inside, total, cluster.node_gbytes),
        (cluster.nodes, total / inside, cluster.network_gbytes),
    ):
        seconds += 2 * (ring - 1) / ring * size / (gbytes * 1e9) + 2 * (ring - 1) * cluster.latency
    return seconds


def cost_of_training(
    step_seconds: float,
    plain_seconds: float,
    batch: int,
    parameters: int,
    cluster: Cluster,
    task: Task,
) -> Cost:
    """Return what training with a step costs that takes ``step_seconds`` on one GPU.

    Args:
        step_seconds: of one step of ``batch`` images on one GPU.
        plain_seconds: of the plain step there, behind whose backward pass gradients travel.
        batch: images a GPU and step.
        parameters: of the network.
        cluster: the GPUs.
        task: the images and epochs.
    """
    exchange = exchange_seconds(parameters, cluster)
    last = exchange * min(1.0, BUCKET_BYTES / (BYTES_PER_GRADIENT * parameters))
    visible = max(exchange - BACKWARD_SHARE * plain_seconds, last)
    whole = step_seconds + visible
    rate = cluster.gpus * batch / whole
    hours = task.epochs * task.images / rate / 3600
    return Cost(
        step_seconds=whole,
        exchange_seconds=exchange,
        visible_seconds=visible,
        efficiency=step_seconds / whole,
        images_per_second=rate,
        hours=hours,
        gpu_hours=hours * cluster.gpus,
        cores=rate / task.decoded_per_core,
        read_gbytes=rate * task.image_bytes / 1e9,
    )


def main() -> int:
    """Print the tables; return the exit code."""
    arguments = _arguments()
    cluster = Cluster(
        gpus=arguments.gpus,
        gpus_per_node=arguments.gpus_per_node,
        node_gbytes=arguments.node_gbytes,
        network_gbytes=arguments.network_gbytes,
    )
    task = Task(images=arguments.images, epochs=arguments.epochs)
    try:
        content = read_content(arguments.file) if arguments.file is not None else None
    except RecordError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    wanted = CONFIGURATIONS if arguments.configuration is None else (arguments.configuration,)
    print("\n".join(_report(content, cluster, task, wanted)))
    return 0


def _report(
    content: Values | None,
    cluster: Cluster,
    task: Task,
    configurations: Sequence[str] = CONFIGURATIONS,
) -> Iterator[str]:
    known = {subject.name: subject for subject in subjects(is_tiny=False)}
    yield f"# {cluster.gpus} GPUs, {cluster.nodes} nodes"
    yield from ("", "## Exchange of gradients a step, the same for every kind of step", "")
    yield "| network | parameters | MB | ms |"
    yield "|---|---|---|---|"
    for name in NETWORKS:
        count = _parameters(known[name])
        seconds = exchange_seconds(count, cluster)
        size = BYTES_PER_GRADIENT * count / 1e6
        yield f"| {name} | {count:,} | {size:.0f} | {1e3 * seconds:.2f} |"
    if content is None:
        yield from ("", "Missing: the seconds and memory of a step on one GPU. Measure them with")
        yield "`python benchmarks/accelerator.py --out FILE.json` and give FILE.json here."
        return
    if content["machine"]["is_tiny"]:
        yield from ("", "Missing: the file is of tiny networks, which say nothing about speed.")
        return
    yield from ("", f"## {task.epochs} epochs of {task.images:,} images")
    yield f"Measured on one {content['machine']['device']}."
    for name in NETWORKS:
        yield from _network(content, known[name], cluster, task, configurations)


def _network(
    content: Values,
    subject: Subject,
    cluster: Cluster,
    task: Task,
    configurations: Sequence[str],
) -> Iterator[str]:
    found = next(
        (
            (configuration, content["finished"][key])
            for configuration in configurations
            if (key := f"steps/{subject.name}/{configuration}") in content["finished"]
            and "milliseconds" in content["finished"][key]["steps"]["plain"]
        ),
        None,
    )
    if found is None:
        yield from (
            "",
            f"Missing: {subject.name} was not measured in {' or '.join(configurations)}.",
        )
        return
    configuration, values = found
    yield from ("", f"### {subject.name}, {values['batch']} images a GPU, {configuration}", "")
    headings = ("step", "ms on one", "ms", "efficiency", "images/s", "hours", "GPU hours", "GiB")
    yield f"| {' | '.join((*headings, 'cores', 'GB/s'))} |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    steps = values["steps"]
    plain = steps["plain"]["milliseconds"] / 1e3
    count = _parameters(subject)
    for name, step in steps.items():
        if "milliseconds" not in step:
            yield f"| {name} | failed: {step['error']} | | | | | | | | |"
            continue
        alone = step["milliseconds"] / 1e3
        cost = cost_of_training(alone, plain, values["batch"], count, cluster, task)
        memory = f"{step['peak_mib'] / 1024:.1f}" if "peak_mib" in step else "not measured"
        yield (
            f"| {name} | {1e3 * alone:.1f} | {1e3 * cost.step_seconds:.1f} | {cost.efficiency:.0%}"
            f" | {cost.images_per_second:,.0f} | {cost.hours:.1f} | {cost.gpu_hours:,.0f} | "
            f"{memory} | {cost.cores:.0f} | {cost.read_gbytes:.2f} |"
        )


def _parameters(subject: Subject) -> int:
    return sum(parameter.numel() for parameter in subject.build().parameters())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add, cluster, task = parser.add_argument, Cluster(), Task()
    add("file", nargs="?", type=Path, metavar="FILE.json", help="written by accelerator.py")
    add("--gpus", type=int, default=cluster.gpus, help="of all nodes (default %(default)s)")
    add("--gpus-per-node", type=int, default=cluster.gpus_per_node, help="(default %(default)s)")
    add(
        "--node-gbytes",
        type=float,
        default=cluster.node_gbytes,
        help="GB/s a GPU sends within its node (default %(default)s)",
    )
    add(
        "--network-gbytes",
        type=float,
        default=cluster.network_gbytes,
        help="GB/s a GPU sends between nodes (default %(default)s)",
    )
    add("--configuration", metavar="TEXT", help="of the steps, as 'float32, contiguous, eager'")
    add("--images", type=int, default=task.images, help="of an epoch (default ImageNet)")
    add("--epochs", type=int, default=task.epochs, help="(default %(default)s)")
    arguments = parser.parse_args()
    for name in ("gpus", "gpus_per_node", "images", "epochs", "node_gbytes", "network_gbytes"):
        if not getattr(arguments, name) > 0:
            option = name.replace("_", "-")
            parser.error(f"expected --{option} above 0, got {getattr(arguments, name)}")
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
