"""What is published: one version, one description, and no tag while something lacks."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest

import napari_sr as sr
from tools.release import changes_of, missing, version_of, with_absolute_links

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CITATION = (ROOT / "CITATION.cff").read_text("utf-8")
ZENODO = json.loads((ROOT / ".zenodo.json").read_text("utf-8"))
RECIPE = (ROOT / "tools" / "conda" / "recipe.yaml").read_text("utf-8")
ADDRESS = "https://example.org/napari-sr"


def test_there_is_one_version():
    assert version_of(ROOT) == sr.__version__
    assert "version" in PROJECT["dynamic"]
    assert f"\nversion: {sr.__version__}\n" in CITATION
    assert ZENODO["version"] == sr.__version__
    assert f'version: "{sr.__version__}"' in RECIPE


def test_it_is_described_in_the_same_way_everywhere():
    (authors,) = PROJECT["authors"]
    assert ZENODO["creators"] == [authors]
    assert f"  - name: {authors['name']}\n" in CITATION
    assert ZENODO["license"] == PROJECT["license"]
    assert f"\nlicense: {PROJECT['license']}\n" in CITATION
    assert ZENODO["keywords"] == PROJECT["keywords"]
    assert f"keywords: [{', '.join(PROJECT['keywords'])}]\n" in CITATION
    abstract = re.search(r"abstract: >-\n((?:  .+\n)+)", CITATION)
    assert " ".join(abstract[1].split()) == ZENODO["description"]
    assert PROJECT["description"] in RECIPE


def test_the_conda_package_needs_what_the_wheel_needs():
    names = {"matplotlib-base": "matplotlib", "pytorch": "torch"}
    run = RECIPE.partition("  run:\n")[2].partition("\n\n")[0]
    needed = dict(re.findall(r"- (\S+) >=(.+)", run))
    python = needed.pop("python")
    assert python == "${{ python_min }}"
    assert f'python_min: "{PROJECT["requires-python"].removeprefix(">=")}"' in RECIPE
    assert sorted(PROJECT["dependencies"]) == sorted(
        f"{names.get(name, name)}>={floor}" for name, floor in needed.items()
    )


@pytest.fixture
def ready(tmp_path):
    """Give a copy of what a release is made from, with nothing missing."""
    for name in (
        "pyproject.toml",
        "CITATION.cff",
        ".zenodo.json",
        "napari_sr/_version.py",
        "tools/conda/recipe.yaml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    urls = "".join(
        f'{name} = "{ADDRESS}"\n'
        for name in ("Repository", "Documentation", "Issues", "Contact")
    )
    changed(tmp_path / "pyproject.toml", r"\[project\.urls\]\n", rf"\g<0>{urls}")
    cited = f"version: {sr.__version__}\n"
    more = f"date-released: 2030-01-02\nrepository-code: {ADDRESS}\n"
    changed(tmp_path / "CITATION.cff", cited, cited + more)
    notes = f"# Changelog\n\n## {sr.__version__} (2030)\n\nMore.\n\n## 0.0.1\n\nAll.\n"
    (tmp_path / "CHANGELOG.md").write_text(notes, "utf-8")
    return tmp_path


def changed(path, old, new):
    text, n = re.subn(old, new, path.read_text("utf-8"))
    assert n == 1
    path.write_text(text, "utf-8")


def test_a_release_that_lacks_nothing_is_let_through(ready):
    assert missing(ready, f"v{sr.__version__}") == []
    assert changes_of(ready, sr.__version__) == "More."


@pytest.mark.parametrize(
    ("name", "old", "new", "why"),
    [
        ("pyproject.toml", r"Contact = .*\n", "", r"\[project.urls\]"),
        ("pyproject.toml", 'Issues = ".*"', 'Issues = ""', r"\[project.urls\]"),
        ("napari_sr/_version.py", '= ".*"', '= "9.9.9"', "expected v9.9.9"),
        ("CHANGELOG.md", r"## \d.*2030.*\n", "## Unreleased\n", "no section"),
        ("CITATION.cff", "date-released: .*\n", "", "date-released"),
        ("CITATION.cff", "repository-code: .*\n", "", "repository-code"),
        (".zenodo.json", '"version": ".*"', '"version": "0"', ".zenodo.json"),
        ("tools/conda/recipe.yaml", 'version: ".*"', 'version: "0"', "recipe.yaml"),
    ],
)
def test_a_release_that_lacks_something_is_refused(ready, name, old, new, why):
    changed(ready / name, old, new)

    found = missing(ready, f"v{sr.__version__}")

    assert any(re.search(why, sentence) for sentence in found)
    if name != "napari_sr/_version.py":  # which all others are compared with
        assert len(found) == 1


def test_a_tag_of_another_version_is_refused(ready):
    assert missing(ready, "v0.0.7") == [
        f"The tag is v0.0.7, expected v{sr.__version__} (napari_sr/_version.py)."
    ]


def test_the_workflow_asks_before_it_builds():
    steps = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    assert 0 < steps.index("-m tools.release") < steps.index("build-and-inspect")
    assert "--readme\n" in steps  # what is uploaded has absolute links


def test_the_uploaded_readme_has_absolute_links_to_the_tag_alone():
    text = (ROOT / "README.md").read_text("utf-8")

    uploaded = with_absolute_links(text, ADDRESS, "v9.9.9")

    targets = re.findall(r"\]\(([^)]+)\)", uploaded)
    assert len(targets) > 15
    assert all(target.startswith("https://") for target in targets)
    assert f"]({ADDRESS}/blob/v9.9.9/docs/install.md)" in uploaded
    assert f"]({ADDRESS}/raw/v9.9.9/docs/images/overview.png)" in uploaded
    ours = re.sub(rf"{ADDRESS}/(blob|raw)/v9\.9\.9/", "", uploaded)
    assert ours == text  # nothing else is changed
    assert "src=" not in text
