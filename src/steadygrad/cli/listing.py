"""A list of named things that fits any terminal: short columns in a table, sentences below it."""

from collections.abc import Mapping, Sequence

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from steadygrad.cli.terminal import print_table, results

__all__ = ["print_listing"]


def print_listing(
    columns: Mapping[str, bool], rows: Sequence[Sequence[str]], sentences: Sequence[str]
) -> None:
    """Print a table, then what each row's name stands for.

    columns: names, each with whether it holds numbers; the first column is the name.
    sentences: one per row; equal ones are printed once, under all of their names.
    """
    table = Table(box=None, pad_edge=False)
    for name, is_number in columns.items():
        table.add_column(name, justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    print_table(table)
    results.print()
    named: dict[str, list[str]] = {}
    for row, sentence in zip(rows, sentences, strict=True):
        named.setdefault(sentence, []).append(row[0])
    for sentence, names in named.items():
        results.print(Text(", ".join(names), style="bold"))
        results.print(Padding(Text(sentence), (0, 0, 0, 2)))
