"""Laws of an audit's figures: every mark where the numbers say, every name as it is written."""

import dataclasses

import pytest

from steadygrad.evaluation.auditing.result import AuditResult
from steadygrad.evaluation.masking import Finding
from steadygrad.evaluation.masking.loss_surface import LossSurface
from steadygrad.reports.audit.figures import attack_figure, stored_surfaces, surface_figure
from steadygrad.reports.audit.words import attack_rows
from steadygrad.reports.figures import inline_svg

OFFSETS = (-0.2, 0.0, 0.2)
SLOPE = ((4.0, 1.0, -2.0),) * 3


def surface(**changes: object) -> LossSurface:
    whole = LossSurface(7, 3, 0.1, OFFSETS, cross_entropy=SLOPE, margin=SLOPE)
    return dataclasses.replace(whole, **changes)


def test_attacks_stand_between_no_attack_and_the_worst_case(audited: AuditResult) -> None:
    rows = attack_rows(audited.outcomes, audited.clean_correct)
    (axes,) = attack_figure(audited.clean, rows, audited.worst_case, 0.1).axes
    names = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    assert names == ["no attack", *(row.title for row in rows), "worst case over all"]
    top, bottom = sorted(axes.get_ylim())
    assert axes.yaxis_inverted()
    assert top < 0
    assert bottom > len(rows) + 1


def test_dots_and_intervals_lie_at_the_accuracies(audited: AuditResult) -> None:
    rows = attack_rows(audited.outcomes, audited.clean_correct)
    (axes,) = attack_figure(audited.clean, rows, audited.worst_case).axes
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]
    points = [audited.clean, *(row.point for row in rows[:-1]), None, audited.worst_case]
    for number, point in enumerate(points):
        if point is not None:
            assert ([100 * point.accuracy], [number]) in lines
            assert ([100 * end for end in point.ci95], [number, number]) in lines
    # NES met the 99 survivors of 200 and broke 3 of them.
    assert ([48.0, 49.5], [5, 5]) in lines
    assert "broke 3 of 99 survivors" in {text.get_text() for text in axes.texts}


def test_an_attack_on_a_selection_has_words_and_no_mark(audited: AuditResult) -> None:
    nes = audited.outcomes[-1]
    few = dataclasses.replace(nes, scope="all")
    rows = attack_rows([few], audited.clean_correct)
    (axes,) = attack_figure(audited.clean, rows, audited.worst_case).axes
    assert "broke 3 of 99 tried" in {text.get_text() for text in axes.texts}
    assert not [line for line in axes.lines if 1 in list(line.get_ydata())]


def test_guessing_is_marked_only_where_it_is_known(audited: AuditResult) -> None:
    for chance in (0.1, None):
        (axes,) = attack_figure(audited.clean, [], audited.worst_case, chance).axes
        shown = {text.get_text() for text in axes.texts}
        assert ("guessing" in shown) == (chance is not None)


def test_surfaces_share_colours_and_show_the_border() -> None:
    import matplotlib.contour

    figure = surface_figure([surface(), surface(margin=((2.0,) * 3,) * 3)], "linf", ("a",) * 10)
    left, right, bar = figure.axes
    fields = [
        [item for item in axes.collections if isinstance(item, matplotlib.contour.QuadContourSet)]
        for axes in (left, right)
    ]
    assert [len(items) for items in fields] == [2, 1]  # the border is drawn where there is one
    assert fields[0][0].get_clim() == fields[1][0].get_clim()
    low, high = fields[0][0].get_clim()
    assert -low == high >= 4.0
    assert left.get_title(loc="left") == "image 7, class a"
    assert (left.get_xlabel(), bar.get_ylabel()) == ("along the gradient (eps)", "margin (logits)")
    assert left.get_xlim() == (-2, 2)


@pytest.mark.parametrize(("norm", "corner"), [("linf", 0.5), ("l2", 0.5**0.5)])
def test_the_ball_is_that_of_the_norm(norm: str, corner: float) -> None:
    axes = surface_figure([surface()], norm).axes[0]
    edge = next(line for line in axes.lines if len(line.get_xdata()) > 1).get_xydata()
    assert edge[:, 0].max() == pytest.approx(1)
    # Half way between two axes the L-infinity ball of the plane is flatter than the round one.
    between = [(x, y) for x, y in edge if abs(x - y) < 0.03 and x > 0]
    assert all(x == pytest.approx(corner, abs=0.03) for x, y in between)


def test_a_flat_surface_can_be_drawn() -> None:
    flat = surface(margin=((0.0,) * 3,) * 3)
    assert "<svg" in inline_svg(surface_figure([flat], "l2"), "flat", "A flat surface.")


def test_surfaces_come_from_the_evidence(audited: AuditResult) -> None:
    assert stored_surfaces(audited.findings) == []
    evidence = {"examples": 64, "surfaces": [surface().to_json(), surface(label=1).to_json()]}
    finding: Finding = dataclasses.replace(audited.findings[0], evidence=evidence)
    assert stored_surfaces([finding]) == [surface(), surface(label=1)]
