"""Tables on terminals of any width: no number is cut."""

import os

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

__all__ = ["print_whole"]


def print_whole(console: Console, table: RenderableType) -> None:
    """Print a table whole: where it is wider than the terminal, as a list of its rows.

    A pipe or file has no width: there a table is as wide as it needs to be. Of a group, each table
    is printed so, and the rest as it is.
    """
    if isinstance(table, Group):
        for part in table.renderables:
            print_whole(console, part)
        return
    if not isinstance(table, Table):
        console.print(table)
        return
    wide = Console(width=10_000, highlight=False, emoji=False)
    needed = wide.measure(table).maximum
    is_narrow = console.is_terminal or "COLUMNS" in os.environ
    if needed <= console.width:
        console.print(table)
    elif is_narrow:
        console.print(_listed(table), soft_wrap=True)
    else:
        Console(file=console.file, width=needed, highlight=False, emoji=False).print(table)


def _listed(table: Table) -> Text:
    """Return each row as its first cell, and below it "header: value" for each of the others."""
    lines = []
    heads = [_text(column.header) for column in table.columns]
    rows = zip(*(list(column.cells) for column in table.columns), strict=True)
    for first, *others in rows:
        lines.append(_text(first))
        for head, value in zip(heads[1:], others, strict=True):
            if cell_len(said := _text(value).plain.strip()):
                lines.append(Text("  ").append_text(head).append(f": {said}"))
    return Text("\n").join(lines)


def _text(cell: object) -> Text:
    return cell.copy() if isinstance(cell, Text) else Text.from_markup(str(cell))
