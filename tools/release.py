"""What a release needs, checked: nothing is published while something is missing.

    python -m tools.release v0.1.0 [--notes NOTES.md] [--readme]

The version is that of `napari_sr/_version.py`; address and contact are `[project.urls]`
in `pyproject.toml`; what changed is in `CHANGELOG.md`. This module alone knows where
else these are repeated, for citation, and compares them; and how the links of the
README are written where there is no repository around it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
URLS = ("Repository", "Documentation", "Issues", "Contact")


def version_of(root: Path) -> str:
    """Read the version without importing the package."""
    text = (root / "napari_sr" / "_version.py").read_text("utf-8")
    return re.findall(r'^__version__ = "(.+)"', text, re.M)[0]


def changes_of(root: Path, version: str) -> str:
    """Give the part of the changelog about a version; empty where there is none."""
    text = (root / "CHANGELOG.md").read_text("utf-8")
    parts = re.split(r"^## ", text, flags=re.M)[1:]
    named = {part.split()[0]: part.partition("\n")[2].strip() for part in parts}
    return named.get(version, "")


def cited(root: Path, key: str) -> str:
    """Read a plain line of `CITATION.cff`; empty where there is none."""
    text = (root / "CITATION.cff").read_text("utf-8")
    found = re.findall(rf"^{key}: (.+)$", text, re.M)
    return found[0].strip("\"'") if found else ""


def urls_of(root: Path) -> dict[str, str]:
    """Read the addresses of `[project.urls]`; empty where there is none."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return {name: project.get("urls", {}).get(name, "") for name in URLS}


def missing(root: Path, tag: str) -> list[str]:
    """Say what stands in the way of publishing a tag, a sentence each.

    Parameters
    ----------
    root
        The repository.
    tag
        Its name, such as `v0.1.0`.
    """
    version = version_of(root)
    urls = urls_of(root)
    zenodo = json.loads((root / ".zenodo.json").read_text("utf-8"))
    checks = {
        f"The tag is {tag}, expected v{version} (napari_sr/_version.py).": (
            tag == f"v{version}"
        ),
        f"[project.urls] in pyproject.toml lacks {', '.join(URLS)}, or some of them.": (
            all(re.match(r"https://|mailto:", url) for url in urls.values())
        ),
        f"CHANGELOG.md has no section '## {version}'.": bool(changes_of(root, version)),
        f"CITATION.cff has not the version {version}.": (
            cited(root, "version") == version
        ),
        "CITATION.cff has no date-released (YYYY-MM-DD).": bool(
            re.fullmatch(r"\d{4}-\d\d-\d\d", cited(root, "date-released"))
        ),
        "CITATION.cff has not the repository-code of [project.urls].": (
            cited(root, "repository-code") == urls["Repository"] != ""
        ),
        f".zenodo.json has not the version {version}.": zenodo["version"] == version,
        f"tools/conda/recipe.yaml has not the version {version}.": (
            f'  version: "{version}"'
            in (root / "tools" / "conda" / "recipe.yaml").read_text("utf-8")
        ),
    }
    return [sentence for sentence, is_met in checks.items() if not is_met]


def with_absolute_links(text: str, repository: str, tag: str) -> str:
    """Make the relative links of a page absolute: PyPI shows it without its files.

    Parameters
    ----------
    text
        The page, in Markdown.
    repository
        Its address.
    tag
        What the links lead to.
    """

    def absolute(link: re.Match[str]) -> str:
        start, target = link.groups()
        kind = "raw" if start.startswith("!") else "blob"
        return f"{start}{repository.rstrip('/')}/{kind}/{tag}/{target})"

    return re.sub(r"(!?\[[^\]]*\]\()(?!https?:|mailto:|#)([^)\s]+)\)", absolute, text)


def main() -> int:
    """Check a tag; write its notes, and the README as PyPI needs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tag")
    parser.add_argument("--notes", type=Path, help="where to write what has changed")
    parser.add_argument(
        "--readme", action="store_true", help="make the README's links absolute"
    )
    arguments = parser.parse_args()
    found = missing(ROOT, arguments.tag)
    for sentence in found:
        print(sentence, file=sys.stderr)
    if arguments.notes and not found:
        arguments.notes.write_text(changes_of(ROOT, version_of(ROOT)) + "\n", "utf-8")
    if arguments.readme and not found:
        readme = ROOT / "README.md"
        text = readme.read_text("utf-8")
        address = urls_of(ROOT)["Repository"]
        readme.write_text(with_absolute_links(text, address, arguments.tag), "utf-8")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
