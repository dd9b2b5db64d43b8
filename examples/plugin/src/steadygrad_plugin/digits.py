"""An experiment in one file: accuracy on digits with the penalty of this package and without."""

from collections.abc import Sequence

from steadygrad.attacks import PGD
from steadygrad.experiments import ExperimentOutcome, Network, Scale, Table, Workbench
from steadygrad.training import TrainingConfig
from steadygrad_plugin.logit_decay import LogitDecay

EPS = 0.1
PLAIN = TrainingConfig(data="digits", model="digits-gelu", epochs=20, batch_size=32)
DECAYED = TrainingConfig(
    data="digits",
    model="digits-gelu",
    epochs=20,
    batch_size=32,
    penalty=LogitDecay(strength=0.01),
)
NETWORKS = (Network("plain", PLAIN), Network("logit decay", DECAYED))


class LogitDecayOnDigits:
    """Clean accuracy and accuracy under PGD, a row for each network."""

    name = "logit-decay/digits"
    title = "digits with logit decay and without"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return both networks of every seed, at the scale."""
        return scale.all_of(NETWORKS, seeds)

    def printed_paths(self) -> tuple[str, ...]:
        """Return nothing: no paper prints this."""
        return ()

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack what is trained; the bench keeps every answer beside its network."""
        pgd, images = PGD(eps=0.0, steps=10), bench.scale.attacked
        rows = []
        for network in bench.measurable(self.networks(bench.scale, bench.seeds)):
            (attacked,) = bench.points(network, pgd, (EPS,), images)
            clean = bench.clean_accuracy(network)
            accuracies = (round(100 * point.accuracy, 1) for point in (clean, attacked))
            rows.append((network.label, network.config.seed, *accuracies))
        table = Table(
            title=self.title,
            columns=("network", "seed", "clean (%)", f"PGD(10), eps {EPS} (%)"),
            rows=tuple(rows),
        )
        caption = f"Digits; the first {images:,} test images attacked."
        return ExperimentOutcome(caption=caption, tables={"accuracies": table})


EXPERIMENT = LogitDecayOnDigits()
