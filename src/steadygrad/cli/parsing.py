"""Turning what people type into values: fractions of 255, lists of epochs, augmentation."""

import typer

__all__ = ["augmentation_steps", "parse_epochs", "parse_fraction"]


def parse_fraction(text: str) -> float:
    """Return the number written as ``0.2`` or as a fraction such as ``8/255``."""
    numerator, slash, denominator = text.partition("/")
    try:
        return float(numerator) / float(denominator) if slash else float(numerator)
    except (ValueError, ZeroDivisionError):
        raise typer.BadParameter(f"expected a number such as 0.2 or 8/255, got {text!r}") from None


def parse_epochs(text: str) -> tuple[int, ...]:
    """Return the epochs written as ``10`` or ``40,60,72``."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"expected epochs such as 10 or 40,60,72, got {text!r}") from None


def augmentation_steps(given: list[str] | None) -> list[str] | None:
    """Return the steps that were given, no step for ``none``; None where nothing was said."""
    return [] if given == ["none"] else given
