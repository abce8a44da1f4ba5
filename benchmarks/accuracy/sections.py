"""Results by model, so that one model can be measured again and the rest stands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace_section(path: Path, title: str, text: str) -> None:
    """Put text under a heading of the second level; new headings go to the end.

    Parameters
    ----------
    path
        A Markdown file; made where there is none.
    title, text
        Of the section.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    head, *parts = re.split(r"^## ", before, flags=re.MULTILINE)
    sections = dict(part.split("\n", 1) for part in parts)
    sections[title] = text
    written = [f"## {name}\n\n{body.strip()}" for name, body in sections.items()]
    parts = [head.strip(), *written] if head.strip() else written
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
