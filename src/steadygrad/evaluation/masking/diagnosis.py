"""Every diagnostic of gradient masking on one subject, and the verdict."""

from collections.abc import Callable, Mapping

import torch

from steadygrad.evaluation.masking.black_box import black_box_beats_white_box
from steadygrad.evaluation.masking.finding import Finding, Verdict
from steadygrad.evaluation.masking.one_step import one_step_beats_iterative
from steadygrad.evaluation.masking.randomness import expectation_over_randomness, randomness
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.evaluation.masking.subject import Subject
from steadygrad.evaluation.masking.verdict import verdict
from steadygrad.evaluation.masking.zero_gradients import zero_gradient_pixels, zero_gradients
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.training.seeds import derive_seed

__all__ = ["diagnose", "diagnostic_names"]

_DIAGNOSTICS: Mapping[str, Callable[[Sample], Finding]] = {
    "randomness": randomness,
    "expectation-over-randomness": expectation_over_randomness,
    "zero-gradients": zero_gradients,
    "zero-gradient-pixels": zero_gradient_pixels,
    "one-step-beats-iterative": one_step_beats_iterative,
    "black-box-beats-white-box": black_box_beats_white_box,
}


def diagnostic_names() -> tuple[str, ...]:
    """Return the names of all diagnostics, in the order in which they run."""
    return tuple(_DIAGNOSTICS)


def diagnose(subject: Subject) -> tuple[tuple[Finding, ...], Verdict]:
    """Run every diagnostic on the subject; return their findings, in order, and the verdict.

    The model is in eval mode meanwhile, and afterwards as it was; so is torch's global generator,
    which is seeded meanwhile, so that a model that draws from it gives the same findings twice.

    Raises: ModelError, if the outputs are no finite logits.
    """
    device = torch.device("cpu" if subject.device is None else subject.device)
    with (
        evaluation_mode(subject.model),
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
    ):
        torch.manual_seed(derive_seed(subject.seed, "diagnosis"))
        sample, findings = Sample(subject), []
        for done, (name, diagnostic) in enumerate(_DIAGNOSTICS.items()):
            if subject.progress is not None:
                subject.progress(name, done, len(_DIAGNOSTICS))
            findings.append(diagnostic(sample))
    if subject.progress is not None:
        subject.progress("done", len(_DIAGNOSTICS), len(_DIAGNOSTICS))
    return tuple(findings), verdict(subject, findings)
