"""Laws of steadygrad.markdown_text."""

import re

from hypothesis import given
from hypothesis import strategies as st

from steadygrad.markdown_text import markdown_text


def test_every_sign_of_markdown_is_escaped_and_the_rest_stays() -> None:
    assert markdown_text("a|b <i>\n*x* [l](u) `c` run_1 漢") == (
        r"a\|b \<i\> \*x\* \[l\](u) \`c\` run\_1 漢"
    )


@given(st.text())
def test_taking_the_backslashes_away_gives_the_words_back(text: str) -> None:
    plain = re.sub(r"\\(.)", r"\1", markdown_text(text))
    assert plain == " ".join(text.splitlines())
