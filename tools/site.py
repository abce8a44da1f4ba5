"""What the documentation site holds beside the pages in `docs/`.

Hooks of MkDocs: the tables of `benchmarks/results`, the changelog, and the help of each
command, as the program itself prints it.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, _SubParsersAction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

from napari_sr.cli.commands import _parser

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
RESULTS = "benchmarks/results"
SHOWN = {".md", ".png", ".svg", ".jpg"}


def on_files(files: Files, config: Any) -> Files:  # noqa: ANN401
    """Add what lies elsewhere."""
    for path in sorted((ROOT / RESULTS).rglob("*")):
        if path.suffix in SHOWN:
            place = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(path)))
    changes = ROOT / "CHANGELOG.md"
    files.append(File.generated(config, "changelog.md", abs_src_path=str(changes)))
    content = command_line()
    place = "reference/command_line.md"
    files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:  # noqa: ANN401
    """Let links lead to where things lie on the site."""
    markdown = markdown.replace(f"](../{RESULTS}/", f"]({RESULTS}/")
    return re.sub(r"\]\(docs/", "](", markdown)


def command_line() -> str:
    """Write the help of every command."""
    parser = _parser()
    parts = [
        "# Command line",
        "Exit codes: 0 all done, 1 something could not be done, 2 the command was not "
        "understood, 130 interrupted.",
        _help_of(parser),
    ]
    for name, command in _commands(parser).items():
        parts += [f"## napari-sr {name}", _help_of(command)]
        for below, inner in _commands(command).items():
            parts += [f"### napari-sr {name} {below}", _help_of(inner)]
    return "\n\n".join(parts) + "\n"


def _help_of(parser: ArgumentParser) -> str:
    return f"```text\n{parser.format_help().strip()}\n```"


def _commands(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    groups = [a for a in parser._actions if isinstance(a, _SubParsersAction)]
    return {
        name: command for group in groups for name, command in group.choices.items()
    }
