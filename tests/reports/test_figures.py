"""Laws of the figures: labelled, with units and legend, distinct, and the same every time."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import matplotlib
import pytest
import torch
from matplotlib.colors import to_rgb

from steadygrad.errors import OutputError
from steadygrad.evaluation import Gallery
from steadygrad.reports import (
    compare_runs,
    cost_figure,
    gallery_figure,
    inline_svg,
    load_runs,
    robustness_figure,
    save_figure,
    series_styles,
    training_figure,
)
from steadygrad.reports.figures import letters
from steadygrad.reports.figures.before_after import before_after_figure
from steadygrad.reports.figures.canvas import literal_text, new_figure, style
from steadygrad.reports.figures.names import wrapped, wrapped_names

MakeRun = Callable[..., Path]
HOSTILE = "_a $x^{$ <b>&amp;"


def test_robustness_is_labelled_in_percent_and_eps(make_run: MakeRun) -> None:
    (comparison,) = compare_runs(
        load_runs([make_run("low", half=0.05), make_run("high", half=0.2)])
    )
    figure = robustness_figure(comparison)
    (axes,) = figure.axes
    assert axes.get_ylabel() == "accuracy (%)"
    assert axes.get_ylim() == (0, 100)
    assert axes.get_xlabel() == ("perturbation radius eps (L-infinity, 1 = the whole pixel range)")
    assert axes.get_title(loc="left") == "PGD(8) on 360 test images of digits"
    (legend,) = figure.legends
    # The run with more accuracy comes first, whatever the order of the runs.
    assert [text.get_text() for text in legend.get_texts()] == ["high", "low"]


def test_robustness_draws_the_curves_and_wilsons_bands(make_run: MakeRun) -> None:
    (comparison,) = compare_runs(load_runs([make_run("a")]))
    (axes,) = robustness_figure(comparison).axes
    points = comparison.entries[0].points
    curve, guessing = axes.lines
    assert list(curve.get_xdata()) == [point.eps for point in points]
    assert list(curve.get_ydata()) == [100 * point.accuracy for point in points]
    assert set(guessing.get_ydata()) == {10.0}
    (band,) = axes.collections
    heights = {round(y, 9) for y in band.get_paths()[0].vertices[:, 1]}
    assert heights == {round(100 * end, 9) for point in points for end in point.ci95}


def test_radii_in_grey_levels_are_drawn_as_such(make_run: MakeRun) -> None:
    run = make_run("a", eps=tuple(level / 255 for level in range(0, 17, 2)))
    (comparison,) = compare_runs(load_runs([run]))
    (axes,) = robustness_figure(comparison).axes
    assert "1/255 of the pixel range" in axes.get_xlabel()
    assert list(axes.lines[0].get_xdata()) == pytest.approx(list(range(0, 17, 2)))


def test_what_hardening_bought_is_drawn_in_the_units_of_its_norm(make_run: MakeRun) -> None:
    (comparison,) = compare_runs(load_runs([make_run("a")]))
    curve = comparison.entries[0].evaluation.curve
    for norm, unit, label in (("linf", 255, "1/255"), ("l2", 1, "length of the change eps (L2)")):
        (axes,) = before_after_figure({"before": curve}, 0.1, norm, "PGD").axes
        assert list(axes.lines[0].get_xdata()) == [unit * eps for eps in curve.eps_values]
        assert list(axes.lines[1].get_xdata()) == [unit * 0.1] * 2
        assert label in axes.get_xlabel()


def test_one_radius_has_an_error_bar(make_run: MakeRun) -> None:
    (comparison,) = compare_runs(load_runs([make_run("a", eps=(0.1,))]))
    (axes,) = robustness_figure(comparison).axes
    assert len(axes.containers) == 1
    left, right = axes.get_xlim()
    assert left < 0.1 < right


def test_eight_runs_differ_in_colour_and_in_marker() -> None:
    looks = list(series_styles(map(str, range(8))).values())
    assert len({look.color for look in looks}) == len({look.marker for look in looks}) == 8
    # Every colour stands out from white paper: a contrast of at least 2.5 (WCAG's formula).
    for look in looks:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(look.color)
        ]
        luminance = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
        assert 1.05 / (luminance + 0.05) > 2.5


def test_thirty_two_runs_differ_in_colour_or_line() -> None:
    looks = series_styles(map(str, range(32))).values()
    assert len({(look.color, look.line) for look in looks}) == 32


def test_training_has_a_panel_a_quantity_with_units(make_run: MakeRun) -> None:
    l1 = {"penalty": "l1", "strength": 0.1}
    runs = load_runs([make_run("plain"), make_run("penalised", config=l1)])
    figure = training_figure(runs)
    loss, penalty, accuracy = figure.axes
    assert loss.get_ylabel() == "cross-entropy (nats)"
    assert penalty.get_ylabel() == "as it enters the loss (nats)"
    assert accuracy.get_ylabel() == "accuracy (%), training images"
    assert all(axes.get_xlabel() == "epoch" for axes in figure.axes)
    assert [len(axes.lines) for axes in figure.axes] == [2, 1, 2]
    assert list(penalty.lines[0].get_ydata()) == [epoch.penalty for epoch in runs[1].metrics]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["plain", "penalised"]


def test_losses_that_are_close_stand_at_their_axis_as_they_are(make_run: MakeRun) -> None:
    runs = load_runs([make_run("a"), make_run("b")])
    close = [
        replace(run, metrics=tuple(replace(epoch, data_loss=loss) for epoch in run.metrics))
        for run, loss in zip(runs, (2.3012, 2.3018), strict=True)
    ]
    figure = training_figure(close)
    figure.draw_without_rendering()
    axis = figure.axes[0].yaxis
    assert axis.get_offset_text().get_text() == ""
    assert all(label.get_text().startswith("2.30") for label in axis.get_ticklabels()[1:-1])


def test_training_says_what_there_is_nothing_of(make_run: MakeRun) -> None:
    path = make_run("a")
    (path / "metrics.jsonl").unlink()
    loss, penalty, accuracy = training_figure(load_runs([path])).axes
    shown = [axes.texts[0].get_text() for axes in (loss, penalty, accuracy)]
    assert shown == ["no epoch is finished", "no run was penalised", "no epoch is finished"]


def test_validation_accuracy_is_drawn_beside_training(make_run: MakeRun) -> None:
    path = make_run("a")
    metrics = path / "metrics.jsonl"
    text = metrics.read_text().replace('"validation_accuracy": null', '"validation_accuracy": 0.5')
    metrics.write_text(text)
    accuracy = training_figure(load_runs([path])).axes[2]
    assert accuracy.get_ylabel() == "accuracy (%)"
    assert accuracy.texts[0].get_text() == "markers: validation\nthin lines: training"
    assert set(accuracy.lines[1].get_ydata()) == {50.0}


def test_cost_bars_start_at_zero_and_carry_values(make_run: MakeRun) -> None:
    runs = load_runs([make_run("a", seconds=2.0), make_run("b", config={"data": "folder:own"})])
    time, parameters, macs = cost_figure(runs).axes
    assert [axes.get_xlabel() for axes in (time, parameters, macs)] == [
        "seconds per epoch",
        "real numbers",
        "real MACs per image",
    ]
    assert all(axes.get_xlim()[0] == 0 for axes in (time, parameters, macs))
    assert time.patches[0].get_width() == runs[0].seconds_per_epoch
    assert [text.get_text() for text in parameters.texts] == ["43\u00a0k", "–"]
    assert [text.get_text() for text in time.get_yticklabels()] == ["a", "b"]


def test_gallery_shows_images_changes_and_predictions() -> None:
    clean = torch.full((2, 1, 4, 4), 0.5)
    adversarial = clean.clone()
    adversarial[0, 0, 0, 0] += 0.1
    adversarial[1, 0, 0, 0] -= 0.1
    gallery = Gallery(
        eps=0.1,
        clean=clean,
        adversarial=adversarial,
        labels=torch.tensor([0, 1]),
        clean_predictions=torch.tensor([0, 1]),
        adversarial_predictions=torch.tensor([1, 1]),
    )
    axes = gallery_figure(gallery, "run", class_names=("cat", "dog")).axes
    assert [a.get_ylabel() for a in axes[::2]] == ["clean", "change", "eps 0.1"]
    assert [a.get_xlabel() for a in axes] == ["✓ cat", "✓ dog", "", "", "✗ dog", "✓ dog"]
    changes = [float(a.images[0].get_array()[0, 0]) for a in axes[2:4]]
    assert changes == pytest.approx([1.0, 0.0], abs=1e-6)
    assert float(axes[2].images[0].get_array()[1, 1]) == 0.5


@pytest.mark.parametrize("count", [1, 17, 33, 60])
def test_the_legend_names_every_run_within_the_figure(make_run: MakeRun, count: int) -> None:
    long = "a name of several lines, as "
    names = [f"{number} " + (long * 3 if number % 5 == 0 else "") for number in range(count)]
    (comparison,) = compare_runs(load_runs([make_run(name.strip()) for name in names]))
    figure = robustness_figure(comparison)
    figure.canvas.draw()
    (legend,), (axes,) = figure.legends, figure.axes
    assert len(legend.get_texts()) == count
    frame = figure.bbox.padded(1)
    for box in (legend.get_window_extent(), axes.get_tightbbox()):
        assert frame.containsx(box.x0) and frame.containsx(box.x1)
        assert frame.containsy(box.y0) and frame.containsy(box.y1)
    assert axes.get_window_extent().width > 3 * figure.dpi


def test_names_stand_as_they_are(make_run: MakeRun) -> None:
    (run,) = load_runs([make_run(HOSTILE.replace("/", ""))])
    (comparison,) = compare_runs([run])
    for figure in (robustness_figure(comparison), training_figure([run])):
        assert [text.get_text() for text in figure.legends[0].get_texts()] == [run.name]
        assert "_a $x^{$ &lt;b&gt;&amp;amp;" in inline_svg(figure, "p", run.name)
    assert "_a $x^{$ &lt;b&gt;" in inline_svg(cost_figure([run]), "p", "")


def test_letters_that_no_font_has_are_boxes_and_told_of_once(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "families_for", lambda _: ())
    figure = cost_figure(load_runs([make_run("数字")]))
    with pytest.warns(UserWarning, match=r"^cost\.png shows boxes in place of 数字: no font"):
        assert save_figure(figure, tmp_path / "cost.png").stat().st_size > 0
    save_figure(figure, tmp_path / "cost.svg")  # drawn with the reader's fonts
    assert "数字" in (tmp_path / "cost.svg").read_text(encoding="utf-8")


def test_letters_that_the_font_lacks_are_taken_from_another(tmp_path: Path) -> None:
    """U+1D15 is in DejaVu Serif, which matplotlib brings along too."""
    names = ["plain", "network \u1d15 $a_b$ $"]
    with style():
        figure = new_figure(3, 1)
        axes = figure.subplots()
        axes.set_yticks([0, 1], names)
        literal_text(axes)
    save_figure(figure, tmp_path / "a.png")
    plain, other = (text.get_fontfamily() for text in axes.get_yticklabels())
    assert plain == other[:1] == [letters.FONT]
    assert len(other) == 2


def test_as_few_fonts_as_have_the_letters_are_taken() -> None:
    assert letters.missing_letters("plain ASCII, größe, Ω, שלום") == ()
    assert letters.missing_letters("\u1d15a\u1d24\u1d15\n") == ("\u1d15", "\u1d24")
    (family,) = letters.families_for(frozenset("\u1d15\u1d24"))
    assert {"\u1d15", "\u1d24"} <= letters._letters_of(family)
    assert letters.families_for(frozenset("\U0010fff0")) == ()  # of private use


def test_inline_svg_shares_no_id_and_loads_nothing(make_run: MakeRun) -> None:
    (comparison,) = compare_runs(load_runs([make_run("a")]))
    first, second = (
        inline_svg(robustness_figure(comparison), prefix, 'say "it"') for prefix in ("p", "q")
    )
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', first))
    assert used
    assert used <= ids[0]
    assert "http" not in first
    assert 'aria-label="say &quot;it&quot;"' in first
    assert re.match(r'<svg role="img"[^>]* viewBox="', first)
    assert not re.match(r"<svg[^>]* (width|height)=", first)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_files_are_the_same_every_time(make_run: MakeRun, tmp_path: Path, suffix: str) -> None:
    (comparison,) = compare_runs(load_runs([make_run("a")]))
    files = []
    for folder in (tmp_path / "1", tmp_path / "2"):
        folder.mkdir()
        files.append(save_figure(robustness_figure(comparison), folder / f"curve{suffix}"))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_other_formats_are_refused(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ending in \.svg or \.png, got 'curve\.pdf'"):
        save_figure(cost_figure(load_runs([make_run("a")])), tmp_path / "curve.pdf")


def test_the_users_own_matplotlib_settings_play_no_part_and_stay(make_run: MakeRun) -> None:
    runs = load_runs([make_run("a")])
    plain = inline_svg(cost_figure(runs), "p", "")
    with matplotlib.rc_context({"axes.facecolor": "black", "text.usetex": True}):
        assert inline_svg(cost_figure(runs), "p", "") == plain
        assert matplotlib.rcParams["axes.facecolor"] == "black"


def test_long_names_break_where_they_have_parts() -> None:
    assert wrapped("mynets:build,levels=256,scale=1.5") == "mynets:build,levels=256,\nscale=1.5"
    assert wrapped("complex, squared L1 0.125, at uniform:0.3").count("\n") == 1


def test_names_too_long_for_their_place_are_told_apart_by_their_ends() -> None:
    long = "norm-penalty:eps=2/255,strength=0.5,backend=finite-difference,schedule=cosine,"
    first, second = (wrapped(f"{long}seed={seed}").split("\n") for seed in (1, 2))
    assert first == [
        "norm-penalty:eps=2/255,",
        "strength=0.5,backend=",
        "…ce,schedule=cosine,seed=1",
    ]
    assert second == [*first[:2], "…ce,schedule=cosine,seed=2"]
    for width in (14, 26):
        lines = wrapped("x" * 500, width).split("\n")
        assert len(lines) == 3 and max(map(len, lines)) == width


def test_long_names_of_one_figure_differ_wherever_the_names_do() -> None:
    penalty = "norm-penalty:eps={},strength=0.5,backend=finite-difference"
    name = f"{penalty},averages={{}},schedule=cosine,epochs=40,seed={{}}"
    grid = [name.format(*one) for one in product(("2/255", "4/255"), ("ema", "none"), (1, 2))]
    written = wrapped_names([*grid, "plain"])
    assert written[0] == "norm-penalty:eps=2/255,\n…averages=ema,…seed=1"
    assert written[-1] == "plain"
    assert len(set(written)) == 9
    assert wrapped_names([grid[0], "plain"]) == [wrapped(grid[0]), "plain"]
    assert wrapped_names([grid[0], grid[0]]) == [wrapped(grid[0])] * 2


def test_long_names_that_have_the_same_parts_stand_there_whole() -> None:
    parts = [f"part-{number:02}" for number in range(20)]
    swapped = [*parts[:8], parts[9], parts[8], *parts[10:]]
    solid = ["x" * 100 + letter + "x" * 100 for letter in "ab"]
    names = [",".join(parts), ",".join(swapped), *solid]
    written = wrapped_names(names)
    assert [text.replace("\n", "") for text in written] == names


def test_legends_tell_runs_apart_that_differ_in_their_middle(make_run: MakeRun) -> None:
    names = [f"resnet18-eps-{eps}-of-255-{'a-long-study-' * 6}seed-1" for eps in (2, 4)]
    runs = load_runs([make_run(name) for name in names])
    (comparison,) = compare_runs(runs)
    for figure in (robustness_figure(comparison), training_figure(runs)):
        assert len({text.get_text() for text in figure.legends[0].get_texts()}) == 2
    labels = cost_figure(runs).axes[0].get_yticklabels()
    assert len({label.get_text() for label in labels}) == 2


@pytest.mark.parametrize("count", [1, 8])
def test_long_class_names_and_titles_stay_in_their_place(count: int) -> None:
    names = "Staffordshire bull terrier, American breed", "long_name_" * 5, "cat"
    labels = torch.arange(count) % 3
    images = torch.rand(count, 1, 8, 8)
    figure = gallery_figure(
        Gallery(0.1, images, images, labels, labels, labels.flip(0)),
        "a title of several lines " * 5,
        class_names=names,
    )
    figure.canvas.draw()
    frame = figure.bbox.padded(1)
    boxes = [axes.xaxis.label.get_window_extent() for axes in figure.axes if axes.get_xlabel()]
    assert len(boxes) == 2 * count
    for row in (boxes[:count], boxes[count:]):
        for left, right in pairwise(row):
            assert left.x1 < right.x0
    for box in (*boxes, figure._suptitle.get_window_extent()):
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1
        assert frame.y0 <= box.y0 and box.y1 <= frame.y1
