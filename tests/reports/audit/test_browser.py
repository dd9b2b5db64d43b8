"""The pages in a real browser: no error in the console, every picture there, nothing too wide."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from steadygrad.evaluation.auditing.result import AuditResult
from steadygrad.reports import load_runs, render_report
from steadygrad.reports.audit import render_audit_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=10000",
    "--dump-dom",
)
# Measured from outside, in a frame of the width asked for: the page itself has no script.
FRAME = """<!DOCTYPE html><title>wait</title>
<iframe style="width:{width}px;height:2000px;border:0" srcdoc="{page}"></iframe>
<script>
document.querySelector("iframe").addEventListener("load", event => {{
  const inside = event.target.contentDocument;
  document.title = JSON.stringify({{
    pictures: [...inside.images].map(image => image.complete && image.naturalWidth > 0),
    drawings: [...inside.querySelectorAll("svg[role=img]")].map(svg => svg.clientHeight > 50),
    width: inside.documentElement.scrollWidth,
    heading: inside.querySelector("h1").textContent
  }});
}});
</script>
"""
DATE = datetime(2025, 1, 2, tzinfo=UTC)
Open = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def open_page(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """``open_page(text, width)``: what a browser sees of a page; it must not complain."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser is installed; looked for {', '.join(BROWSERS)}")

    def open_page(text: str, width: int) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("page")
        file = folder / "frame.html"
        file.write_text(FRAME.format(width=width, page=html.escape(text)))
        done = subprocess.run(
            [program, *OPTIONS, f"--user-data-dir={folder / 'profile'}", file.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert "CONSOLE" not in done.stderr, done.stderr
        (title,) = re.findall(r"<title>(.*?)</title>", done.stdout.split("<iframe")[0])
        return dict(json.loads(html.unescape(title)))

    return open_page


@pytest.fixture(scope="module", params=["audit", "report"])
def text(request: pytest.FixtureRequest, audited: AuditResult, two: tuple[Path, Path]) -> str:
    if request.param == "audit":
        return render_audit_page(audited, title=None, created=DATE)
    return render_report(load_runs(two), title=None, created=DATE)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 380])
def test_a_page_opens_without_errors_and_shows_every_picture(
    text: str, width: int, open_page: Open
) -> None:
    seen = open_page(text, width)
    assert len(seen["pictures"]) == text.count("<img")
    assert len(seen["drawings"]) == text.count('role="img"')
    assert all(seen["pictures"])
    assert all(seen["drawings"])
    assert seen["pictures"]
    assert seen["width"] <= width
    assert seen["heading"].startswith("Robustness")


@pytest.mark.browser
def test_a_missing_picture_a_wide_table_and_an_error_would_be_seen(open_page: Open) -> None:
    broken = (
        '<h1>Robustness</h1><img src="data:image/png;base64,AAAA"><svg role="img" height="9"></svg>'
        '<p style="width:2000px">wide</p>'
    )
    seen = open_page(broken, 380)
    assert (seen["pictures"], seen["drawings"]) == ([False], [False])
    assert seen["width"] > 380
    with pytest.raises(AssertionError, match="CONSOLE"):
        open_page('<h1>Robustness</h1><script>throw Error("no")</script>', 380)
