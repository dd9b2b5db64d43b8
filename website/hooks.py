"""What MkDocs calls while it builds the site: reference, notebooks, links that leave ``docs/``.

The reference has a page for each public package, from its ``__all__``, and one for the command
line, from the program itself. A public name without a docstring ends the build.
"""

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import griffe
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "penalties", "layers", "covariance", "attacks", "models", "datasets", "training", "evaluation",
    "evaluation.auditing", "evaluation.masking", "reports", "experiments", "hardening",
    "integrations", "distributed", "parts", "draws", "store", "errors",
)  # fmt: skip
"""In the order of the navigation; one that is not there is left out."""

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)]*)\)")


def on_config(config: Any) -> Any:
    """Put the generated pages into the navigation."""
    section = next(part["Reference"] for part in config["nav"] if "Reference" in part)
    section += [{"Commands": "reference/commands.md"}, {"File formats": "formats.md"}]
    section += [{f"steadygrad.{name}": _page(name)} for name in PACKAGES if _exists(name)]
    return config


def on_files(files: Any, *, config: Any) -> Any:
    """Add the generated pages."""
    package = griffe.load("steadygrad", search_paths=[ROOT / "src"], resolve_aliases=True)
    silent: list[str] = []
    for name in PACKAGES:
        if _exists(name):
            text, without = package_page(package[name], f"steadygrad.{name}")
            silent += without
            files.append(File.generated(config, _page(name), content=text))
    if silent:
        raise PluginError(f"public, but without a docstring: {', '.join(sorted(set(silent)))}")
    files.append(File.generated(config, "reference/commands.md", content=commands_page()))
    for name, content in _notebook_files().items():
        files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files


def _notebook_files() -> dict[str, str | bytes]:
    """Return each notebook's page and its figures, by name in the folder ``notebooks``."""
    sys.path.insert(0, str(Path(__file__).parent))
    import notebooks

    found: dict[str, str | bytes] = {}
    for path in sorted(notebooks.FOLDER.glob("*.ipynb")):
        found[f"{path.stem}.md"], pictures = notebooks.page(notebooks.read(path), path.stem)
        found |= pictures
    return found


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Turn links to files outside ``docs/`` into their names: the site does not hold them."""
    folder = (ROOT / "docs" / page.file.src_uri).parent

    def replaced(link: re.Match[str]) -> str:
        target = (folder / link[2].partition("#")[0]).resolve()
        if target.is_relative_to(ROOT / "docs") or not target.exists():
            return link[0]
        return f"{link[1]} (`{target.relative_to(ROOT)}` in the repository)"

    return _OUTSIDE.sub(replaced, markdown)


def _exists(name: str) -> bool:
    path = ROOT / "src" / "steadygrad" / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def _page(name: str) -> str:
    return f"reference/{name}.md"


def package_page(package: Any, path: str) -> tuple[str, list[str]]:
    """Return a package's page and the names of its ``__all__`` that have no docstring."""
    lines = [f"# {path}", "", inspect.cleandoc(package.docstring.value), ""]
    names = package.exports or ()
    silent = []
    for exported in sorted({str(getattr(name, "name", name)) for name in names}, key=str.lower):
        member = package.members.get(exported)
        if member is None or exported == "__version__":
            continue
        target = member.final_target if member.is_alias else member
        if not target.path.startswith("steadygrad"):
            continue
        if target.docstring is None:
            silent.append(target.path)
        lines += [f"::: {path}.{exported}", ""]
    return "\n".join(lines), silent


def commands_page() -> str:
    """Return the page of all commands, as the program describes them itself."""
    import typer

    from steadygrad.cli import app

    program = typer.main.get_command(app)
    lines = ["# Commands", "", program.help or "", ""]
    for name, command in _flat("steadygrad", program):
        lines += [f"## {name}", "", *_description(command), *_table(command)]
        if command.epilog:
            lines += [*_examples(command.epilog), ""]
    return "\n".join(lines)


def _flat(prefix: str, group: Any) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, command in group.commands.items():
        full = f"{prefix} {name}"
        found += _flat(full, command) if hasattr(command, "commands") else [(full, command)]
    return found


def _description(command: Any) -> list[str]:
    return [_plain(inspect.cleandoc(command.help or "")), ""]


def _table(command: Any) -> list[str]:
    rows = ["| argument or option | meaning | default |", "|---|---|---|"]
    for parameter in command.params:
        if parameter.name in ("help", "install_completion", "show_completion"):
            continue
        is_argument = parameter.param_type_name == "argument"
        written = parameter.name.upper() if is_argument else ", ".join(parameter.opts)
        default = parameter.default
        if parameter.required:
            shown = "required"
        elif default is None or default is False or callable(default) or default in ((), []):
            shown = ""
        else:
            shown = f"`{default}`"
        cells = (f"`{written}`", _plain(parameter.help or ""), shown)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*rows, ""]


def _examples(epilog: str) -> list[str]:
    commands = re.sub(r"^Examples?: ", "", epilog).split("; ")
    return ["```", *commands, "```"]


def _plain(text: str) -> str:
    """Return a text of the terminal as Markdown: escaped brackets as they are, signs literal."""
    text = text.replace("\\[", "[")
    return re.sub(r"([*_<\[\]])", r"\\\1", text)
