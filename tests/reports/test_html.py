"""Laws of the HTML report: whole, self-contained, honest, safe, and written at once or not."""

import dataclasses
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from html_page import Page
from steadygrad.errors import CheckpointError, OutputError
from steadygrad.reports import load_run, load_runs, render_report, write_report
from steadygrad.training import TrainingConfig

MakeRun = Callable[..., Path]
HOSTILE = '<script>alert("1")<' + "&'{{ 7 * 7 }}"
DATE = datetime(2025, 1, 2, tzinfo=UTC)


def render(*paths: Path) -> str:
    return render_report(load_runs(paths), title=None, created=DATE)


@pytest.fixture(scope="module")
def text(two: tuple[Path, Path]) -> str:
    return render(*two)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_is_well_formed_and_holds_all_it_shows(text: str, page: Page) -> None:
    assert not re.search(r"https?:|//\w+\.\w+|@import", text)
    assert page.tags["script"] == page.tags["link"] == page.tags["iframe"] == 0
    assert all(src.startswith("data:image/png;base64,") for src in page.values("src"))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    inner = [*page.values("href"), *page.values("xlink:href")]
    assert inner
    assert all(href.startswith("#") and href[1:] in ids for href in inner)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
    assert set(page.values("aria-labelledby")) <= set(ids)


def test_the_page_is_accessible(page: Page) -> None:
    images = page.tags["img"]
    assert images == len([alt for alt in page.values("alt") if alt]) == 2 * 6 * 3
    figures = [value for tag, key, value in page.attributes if (tag, key) == ("svg", "role")]
    assert figures == ["img"] * 3
    assert page.tags["caption"] == page.tags["table"]
    assert all(scope in ("row", "col") for scope in page.values("scope"))
    assert len(page.values("scope")) == page.tags["th"]
    assert ("html", "lang", "en") in page.attributes


def test_every_number_of_the_files_is_there(two: tuple[Path, Path], page: Page) -> None:
    text = page.text
    for path in two:
        stored = json.loads((path / "evaluations" / "pgd.json").read_text())
        for result in stored["results"]:
            low, high = (100 * end for end in result["ci95"])
            assert f"{100 * result['accuracy']:.1f}\u00a0%{low:.1f}–{high:.1f}" in text
    assert "43,050" in text
    assert "199,296" in text
    for value in ("plain", "robust", "squared L1 penalty, strength 0.02", "5.0\u00a0s", "2.13.0"):
        assert value in text


def test_settings_that_differ_and_all_settings_are_listed(
    two: tuple[Path, Path], text: str
) -> None:
    table = text[text.index("not the same in all runs") :].split("</table>")[0]
    assert re.findall(r'<th scope="row">(\w+)</th>', table) == ["penalty"]
    assert "<td>none</td><td>squared-norm:strength=0.02</td>" in table
    for path in two:
        section = text[text.index(f"{path.name}: all settings") :]
        table = section[: section.index("</table>")]
        rows = dict(re.findall(r'<th scope="row">(\w+)</th><td>([^<]*)</td>', table))
        assert list(rows) == [field.name for field in dataclasses.fields(TrainingConfig)]
        config = load_run(path).config
        read = TrainingConfig(**{key: value for key, value in rows.items() if value != "none"})
        assert read == config


def test_each_part_is_one_row_in_the_words_that_choose_it(make_run: MakeRun) -> None:
    path = make_run(
        "a",
        config={
            "data": "digits:limit=100",
            "model": "digits-complex:second_order=frozen_phase",
            "attack": "mixture:attack=pgd,attack.eps=8/255,fraction=0.25",
            "augmentation": ["flip", "crop:1"],
            "schedule": "multi-step:4+8",
        },
    )
    text = render(path)
    for key, value in {
        "data": "digits:limit=100",
        "model": "digits-complex:second_order=frozen_phase",
        "penalty": "none",
        "attack": "mixture:attack=pgd,attack.eps=8/255,fraction=0.25",
        "augmentation": "flip+crop:1",
        "schedule": "multi-step:4+8",
        "batch_size": "64",
        "update_similarity": "false",
    }.items():
        assert f'<th scope="row">{key}</th><td>{value}</td>' in text


def test_headline_scope_and_date_are_there(page: Page) -> None:
    text = page.text
    assert "At eps 0.14, robust keeps the most accuracy" in text
    assert "gives an upper bound on robustness" in text
    assert "AutoAttack was not run" in text
    assert "single seed" in text
    assert "8 steps are few" in text
    assert "8 steps of 1.85 eps / 8, 1 random start" in text
    assert "2 January 2025, 00:00 UTC" in text
    assert "360 test images of digits, the whole split." in text
    assert "Before comparing" not in text


def test_a_subset_of_the_test_set_is_said_to_be_one(make_run: MakeRun) -> None:
    text = Page(render(make_run("a", n=100, note="a split of our own"))).text
    assert "100 test images of digits (of 360 in the split). Note: A split of our own." in text
    assert "100 of 360 test images were used" in text


def test_what_cannot_be_compared_is_flagged_above_the_result(make_run: MakeRun) -> None:
    text = Page(
        render(*(make_run(name, gallery=False) for name in "ab"), make_run("few", n=100))
    ).text
    flagged, short = text.index("few was evaluated on 100 images"), text.index("In short")
    assert text.index("Before comparing") < flagged < short
    assert "few" not in text[short : text.index("Accuracy under attack", short)]


def test_nothing_comparable_means_no_winner(make_run: MakeRun) -> None:
    text = Page(render(make_run("a"), make_run("few", n=100))).text
    assert "evaluated in different ways and cannot be compared" in text


def test_hostile_names_are_only_text(make_run: MakeRun) -> None:
    settings = {"data": {"name": "folder", "path": "</style><script>x</script>"}}
    path = make_run(HOSTILE, config=settings, note="<img src=x onerror=y>")
    text = render_report(load_runs([path]), title="<b>title</b>", created=DATE)
    page = Page(text)
    assert page.tags["script"] == page.tags["b"] == 0
    assert page.tags["img"] == 18
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert HOSTILE in page.text
    assert "<b>title</b>" in page.text
    assert "49" not in re.sub(r"[^\s]*\d\.\d[^\s]*", "", page.text[: page.text.index("In short")])


def test_the_same_runs_give_the_same_page(two: tuple[Path, Path], text: str) -> None:
    assert render(*two) == text


def test_a_run_without_gallery_or_metrics_has_a_page(make_run: MakeRun) -> None:
    path = make_run("bare", gallery=False)
    (path / "metrics.jsonl").unlink()
    page = Page(render(path))
    assert page.tags["img"] == 0
    assert "bare is unfinished: 0 of 12 epochs are done" in page.text


def test_colour_galleries_keep_their_colours(make_run: MakeRun) -> None:
    import base64
    import io

    import torch
    from PIL import Image
    from safetensors.torch import load_file, save_file

    path = make_run("a")
    file = path / "evaluations" / "pgd.safetensors"
    tensors = load_file(file)
    red = torch.zeros(6, 3, 5, 7)
    red[:, 0] = 1.0
    red[:, 2, 1, 4] = 1.0
    save_file(tensors | {"gallery_clean": red, "gallery_adversarial": red.clone()}, file)
    src = Page(render(path)).values("src")[0]
    image = Image.open(io.BytesIO(base64.b64decode(src.split(",")[1])))
    assert (image.size, image.getpixel((0, 0))) == ((7, 5), (255, 0, 0))
    assert image.getpixel((4, 1)) == (255, 0, 255)


def test_writing_returns_the_file_and_makes_its_folder(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "deep" / "report.html"
    assert write_report(two, out, title="Mine") == out
    assert "<title>Mine</title>" in out.read_text()
    assert [file.name for file in out.parent.iterdir()] == ["report.html"]


def test_a_report_that_fails_leaves_the_old_one(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")
    good, bad = make_run("good", gallery=False), make_run("bad")
    (bad / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        write_report([good, bad], out)
    monkeypatch.setattr("os.replace", _no_space)
    with pytest.raises(OutputError, match=r"cannot write .*report\.html: no space"):
        write_report([good], out)
    assert out.read_text() == "old"
    assert not list(tmp_path.glob(".report*"))


def _no_space(*_: object) -> None:
    raise OSError(28, "no space")


def test_places_that_cannot_hold_a_report_are_refused(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        write_report(two, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*report\.html"):
        write_report(two, tmp_path / "file" / "report.html")


def test_templates_are_packaged_beside_the_code() -> None:
    from importlib.resources import files

    names = {file.name for file in (files("steadygrad.reports") / "templates").iterdir()}
    assert {"report.html.j2", "report.css"} <= names


def test_importing_reports_draws_nothing() -> None:
    import subprocess
    import sys

    code = (
        "import sys, steadygrad.reports; "
        "sys.exit('matplotlib' in sys.modules or 'datasets' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
