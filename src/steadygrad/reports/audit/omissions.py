"""What an audit left out, gathered by reason."""

from collections.abc import Sequence

__all__ = ["omissions"]


def omissions(untested: Sequence[str]) -> list[tuple[str, str]]:
    """Return (what, why), one reason a line, in the order in which the reasons first appear.

    untested: sentences such as "mim-10: part of the standard budget"; one without a colon has
    no reason of its own, and stands alone as what was left out.
    """
    by_reason: dict[str, list[str]] = {}
    for sentence in untested:
        what, colon, why = sentence.partition(": ")
        by_reason.setdefault(why if colon else sentence, []).append(what)
    return [(", ".join(whats), "" if whats == [why] else why) for why, whats in by_reason.items()]
