"""Black box against white box: who sees gradients should not do worse than who does not."""

from steadygrad.attacks import NES, Attack, RandomNoise
from steadygrad.evaluation.masking.contest import contest
from steadygrad.evaluation.masking.finding import Finding
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.sample import Sample

__all__ = ["BLACK_BOX", "black_box_beats_white_box"]

DRAWS, QUERIES = 100, 1000

BLACK_BOX = Question(
    name="black-box-beats-white-box",
    text="Do attacks without gradients break examples that all attacks with gradients cannot?",
    threshold=2.0,
    unit="points of accuracy",
)


def black_box_beats_white_box(sample: Sample) -> Finding:
    """Count the examples that noise, queries or transfer break and no attack with gradients does.

    Source: Athalye, Carlini & Wagner, ICML 2018 (arXiv:1802.00420), section 3.1; Carlini et al.,
        arXiv:1902.06705, evaluation checklist. AutoAttack warns from 0.2 points on (Croce & Hein,
        ICML 2020; checks.py, ``check_square_sr``), counted before long attacks had a second try.
    """
    subject = sample.subject
    own: tuple[Attack, ...] = ()
    if subject.norm == "linf":
        own = (
            RandomNoise(eps=subject.eps, distribution="sign", samples=DRAWS),
            NES(eps=subject.eps, queries=QUERIES, loss="margin", stop_early=True),
        )
    # An ensemble may hold attacks of both kinds: see ``ensemble_gap``.
    result = contest(sample, {"noise", "query", "transfer"}, {"one-step", "white-box"}, own)
    if result.left > 0 and result.met == 0:
        return BLACK_BOX.untested("No attack without gradients met what attacks with them left.")
    return BLACK_BOX.answered(
        result.points,
        passed="Attacks with gradients break what attacks without them break, as they should.",
        suspicious=(
            f"Attacks that never see a gradient break {result.unexplained} examples that long "
            f"attacks with gradients cannot, at least {result.points:.0f} points of accuracy in "
            "all: the gradients mislead."
        ),
        evidence=result.evidence,
    )
