"""Run the notebooks of the tutorials, and show them as pages.

    python -m tools.pages.notebooks [docs/tutorials/NAME.ipynb …]

runs notebooks (all when none is named) and keeps what they print and draw. A cell is
plain Python, or lines that begin with `!napari-sr`: no kernel is needed to run them, so
the tests do it too.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import sys
import tempfile
from contextlib import chdir, redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
DPI = 80


def run(path: Path, folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Run the cells of a notebook in a folder.

    Yields
    ------
    list of dict
        What each cell of code printed and drew, as a notebook keeps it.
    """
    space: dict[str, Any] = {"__name__": "__main__", "_command": _command}
    for number, cell in enumerate(_read(path)["cells"]):
        if cell["cell_type"] == "code":
            code = "".join(cell["source"])
            code = re.sub(r"(?m)^!(.+)$", lambda m: f"_command({m[1]!r})", code)
            printed = StringIO()
            with chdir(folder), redirect_stdout(printed):
                exec(compile(code, f"{path.name}, cell {number}", "exec"), space)
            yield [*_stream(printed.getvalue()), *_drawn()]


def as_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Write a notebook as Markdown, and its pictures by name."""
    parts, pictures = [], {}
    for cell in _read(path)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        language = "sh" if source.startswith("!") else "python"
        parts.append(f"```{language}\n{re.sub('(?m)^!', '', source)}\n```")
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                parts.append(f"```text\n{''.join(output['text']).rstrip()}\n```")
            else:
                name = f"{path.stem}_{len(pictures)}.png"
                pictures[name] = base64.b64decode(output["data"]["image/png"])
                parts.append(f"![What the cell above draws]({name})")
    title, _, rest = "\n\n".join(parts).partition("\n")
    note = f'<a href="{path.name}" download>Download this notebook</a>'
    return f"{title}\n\n{note}\n{rest}\n", pictures


def printed(cells: Sequence[dict[str, Any]]) -> str:
    """Give all text of the outputs of a notebook, as they are kept."""
    return "".join(
        "".join(output.get("text", "")) for cell in cells for output in cell["outputs"]
    )


def code_cells(path: Path) -> list[dict[str, Any]]:
    """List the cells of code of a notebook."""
    return [cell for cell in _read(path)["cells"] if cell["cell_type"] == "code"]


def _read(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return notebook


def _command(line: str) -> None:
    """Run a command of napari-sr in this process."""
    from napari_sr.cli import main

    name, *arguments = shlex.split(line, comments=True)
    if name != "napari-sr" or (code := main(arguments)):
        raise RuntimeError(f"`{line}` did not work ({name}: {code}).")


def _stream(text: str) -> list[dict[str, Any]]:
    lines = text.splitlines(keepends=True)
    return [{"name": "stdout", "output_type": "stream", "text": lines}] if text else []


def _drawn() -> list[dict[str, Any]]:
    """Give the figures that were drawn, and close them."""
    import matplotlib.pyplot as plt

    outputs = []
    for number in plt.get_fignums():
        content = BytesIO()
        figure = plt.figure(number)
        figure.savefig(
            content, dpi=DPI, bbox_inches="tight", metadata={"Software": None}
        )
        image = base64.b64encode(content.getvalue()).decode()
        data = {"image/png": image, "text/plain": ["a figure"]}
        outputs.append({"data": data, "metadata": {}, "output_type": "display_data"})
    plt.close("all")
    return outputs


def main(names: Sequence[str]) -> None:
    """Run notebooks, and keep what they print and draw."""
    os.environ["MPLBACKEND"] = "Agg"
    for path in [Path(name) for name in names] or sorted(FOLDER.glob("*.ipynb")):
        notebook = _read(path)
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        with tempfile.TemporaryDirectory() as folder:
            for cell, outputs in zip(cells, run(path, Path(folder)), strict=True):
                cell["outputs"] = outputs
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, "utf-8")
        print(f"{path.name}: {len(text) / 1024:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
