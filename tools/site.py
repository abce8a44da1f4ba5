"""What the documentation site holds beside the pages in `docs/`.

Hooks of MkDocs: the tables of `benchmarks/results`, the changelog, the notebooks as
pages, the schemas of recipes; and in place of a comment on a page the help of each
command as the program itself prints it, all settings, and the recipes.
"""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser, _SubParsersAction
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from mkdocs.structure.files import File
from pydantic_core import PydanticUndefined

from napari_sr.cli.commands import build_parser
from napari_sr.instrument.ranges import Instrument
from napari_sr.recipes import Recipe, UpscaleRecipe, schema_of
from napari_sr.settings import (
    AdversarialSettings,
    TrainingSettings,
    UpscaleSettings,
)
from tools.pages.notebooks import FOLDER, as_page

if TYPE_CHECKING:
    from mkdocs.structure.files import Files
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[1]
RESULTS = "benchmarks/results"
SHOWN = {".md", ".png", ".svg", ".jpg"}
SETTINGS: dict[str, type[BaseModel]] = {
    "Super-resolution": UpscaleSettings,
    "Training": TrainingSettings,
    "Adversarial stage": AdversarialSettings,
    "Degradation model": Instrument,
}
SCHEMAS: dict[str, type[BaseModel]] = {"upscale": UpscaleRecipe, "train": Recipe}


def on_files(files: Files, config: Any) -> Files:  # noqa: ANN401
    """Add what lies elsewhere, or is made."""
    for path in sorted((ROOT / RESULTS).rglob("*")):
        if path.suffix in SHOWN:
            place = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(path)))
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        path = ROOT / name
        files.append(File.generated(config, name.lower(), abs_src_path=str(path)))
    for name, recipe in SCHEMAS.items():
        schema = json.dumps(schema_of(recipe), indent=1)
        place = f"reference/{name}.json"
        files.append(File.generated(config, place, content=schema))
    for path in sorted(FOLDER.glob("*.ipynb")):
        page, pictures = as_page(path)
        files.append(File.generated(config, f"tutorials/{path.stem}.md", content=page))
        for name, content in pictures.items():
            files.append(File.generated(config, f"tutorials/{name}", content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:  # noqa: ANN401
    """Let links lead to where things lie on the site, and fill in what is made."""
    for above in ("../../", "../"):
        markdown = markdown.replace(f"]({above}{RESULTS}/", f"]({above[3:]}{RESULTS}/")
    markdown = re.sub(r"(\]\([\w/]+)\.ipynb\)", r"\1.md)", markdown)
    markdown = re.sub(r"<!-- recipe: (\S+) -->", _recipe, markdown)
    markdown = re.sub("<!-- commands -->", lambda _: commands(), markdown)
    markdown = re.sub("<!-- settings -->", lambda _: settings(), markdown)
    return re.sub(r"\]\(docs/", "](", markdown)


def on_post_page(output: str, **_: Any) -> str:  # noqa: ANN401
    """Leave out what the theme would fetch from a network."""
    return re.sub(r"<script src=\"?https://unpkg\.com[^>]*></script>", "", output)


def on_post_template(output_content: str, **_: Any) -> str:  # noqa: ANN401
    """Do the same for what is not a page."""
    return on_post_page(output_content)


def commands() -> str:
    """Write the help of every command."""
    parser = build_parser()
    parts = [_help_of(parser)]
    for name, command in _commands(parser).items():
        parts += [f"## napari-sr {name}", _help_of(command)]
        for below, inner in _commands(command).items():
            parts += [f"### napari-sr {name} {below}", _help_of(inner)]
    return "\n\n".join(parts)


def settings() -> str:
    """Write a table of every settings type."""
    parts = []
    for title, kind in SETTINGS.items():
        rows = [_row(name, field) for name, field in kind.model_fields.items()]
        head = ["| name | values | default | meaning |", "| --- | --- | --- | --- |"]
        parts.append("\n".join([f"## {title}\n", *head, *rows]))
    return "\n\n".join(parts)


def _row(name: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    shown = "" if default is PydanticUndefined else _short(default)
    cells = [f"`{name}`", _kind(field.annotation), shown, field.description or ""]
    return f"| {' | '.join(' '.join(c.replace('|', '∣').split()) for c in cells)} |"


def _short(value: object) -> str:
    if hasattr(value, "model_dump"):
        return "its defaults"
    text = json.dumps(value, default=str, ensure_ascii=False)
    return {"null": "not given"}.get(text, f"`{text}`")


def _kind(annotation: Any) -> str:  # noqa: ANN401
    """Say in words what a setting may be."""
    parts = get_args(annotation)
    if annotation in (int, float, str, bool):
        return {int: "integer", float: "number", str: "text", bool: "true or false"}[
            annotation
        ]
    name = getattr(annotation, "__name__", "")
    if not parts:
        return "" if annotation is type(None) else f"table ({name})"
    if all(isinstance(part, str | int | float) for part in parts):
        return ", ".join(f"`{part}`" for part in parts)
    if name == "Annotated":
        return _kind(parts[0])
    if name == "dict":
        return f"table of {_kind(parts[1])}s"
    if name == "tuple":
        return "list" if ... in parts else f"{len(parts)} numbers"
    return " or ".join(filter(None, map(_kind, parts)))


def _recipe(found: re.Match[str]) -> str:
    text = (ROOT / "recipes" / found[1]).read_text("utf-8")
    return f"```toml\n{text.strip()}\n```"


def _help_of(parser: ArgumentParser) -> str:
    return f"```text\n{parser.format_help().strip()}\n```"


def _commands(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    groups = [a for a in parser._actions if isinstance(a, _SubParsersAction)]
    return {
        name: command for group in groups for name, command in group.choices.items()
    }
