"""What shells and editors complete from: names on Tab, and JSON Schemas of recipes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pydantic
import pytest

from napari_sr.cli import main
from napari_sr.cli.completing import SHELLS
from napari_sr.recipes import Recipe, UpscaleRecipe, schema_of

ROOT = Path(__file__).parents[2]
RECIPES = sorted(ROOT.glob("recipes/*.toml"))
KINDS = {"train": Recipe, "upscale": UpscaleRecipe}


def asked(line, answer):
    """Ask as a shell does for what may follow a line."""
    pytest.importorskip("argcomplete", reason="argcomplete is not installed")
    asking = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    subprocess.run(
        [sys.executable, "-m", "napari_sr"],
        env={**os.environ, **asking},
        check=True,
        timeout=300,
    )
    return {word.strip() for word in answer.read_text().splitlines()}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("napari-sr sel", {"selfcheck"}),
        ("napari-sr upscale a.tif -m srg", {"srgan-x4"}),
        ("napari-sr compare a.tif -m richard", {"richardson-lucy"}),
        ("napari-sr finetune sharp --base general-", {"general-x2", "general-x4"}),
        ("napari-sr upscale --consist", {"--consistency"}),
        ("napari-sr models export general-x2 --ov", {"--overwrite"}),
    ],
)
def test_commands_options_and_models_are_completed(tmp_path, line, expected):
    assert asked(line, tmp_path / "answer") == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_its_script(shell, capsys):
    pytest.importorskip("argcomplete", reason="argcomplete is not installed")

    assert main(["completion", shell]) == 0

    assert "napari-sr" in capsys.readouterr().out


def test_without_the_library_the_extra_is_named(monkeypatch, capsys):
    for name in ("argcomplete", "argcomplete.shell_integration"):
        monkeypatch.setitem(sys.modules, name, None)

    assert main(["completion", "bash"]) == 1

    said = capsys.readouterr().err
    assert 'pip install "napari-sr[completion]"' in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_beside_the_recipes_is_that_of_the_program(kind, capsys):
    pinned = re.search(
        r"^pydantic==(.+)$", (ROOT / "constraints.txt").read_text(), re.M
    )
    if pydantic.VERSION != pinned[1]:
        pytest.skip("another version of pydantic words schemas in another way")
    assert main(["schema", kind]) == 0
    kept = (ROOT / "recipes" / "schema" / f"{kind}.json").read_text("utf-8")
    assert capsys.readouterr().out == kept, f"napari-sr schema {kind} > that file"


def checked(text, kind):
    """Check a recipe by its schema, as an editor does."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    # As JSON has it: what TOML reads as a date or a path is text there.
    recipe = json.loads(json.dumps(tomllib.loads(text)))
    found = jsonschema.Draft202012Validator(schema_of(KINDS[kind])).iter_errors(recipe)
    return [error.message for error in found]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_names_its_schema_and_keeps_to_it(path):
    text = path.read_text("utf-8")
    kind = "upscale" if path.name == "upscale.toml" else "train"
    assert text.splitlines()[0] == f"#:schema schema/{kind}.json"
    assert checked(text, kind) == []


ACCEPTED = [
    ("upscale", 'model = "m"\n[settings]\nnoise = 0'),
    ("upscale", 'model = "m"\n[settings]\nnoise = "gain=2,read=5"'),
    ("upscale", 'model = "m"\n[settings]\nnoise = { gain = 2 }'),
    ("upscale", 'model = { DAPI = "m" }\nchannel = ["DAPI", 1]'),
    ("train", 'name = "a"\n[settings]\nlargest_gradient = "none"'),
    ("train", 'name = "a"\n[settings.instrument]\nphotons = "none"'),
]


@pytest.mark.parametrize(("kind", "text"), ACCEPTED)
def test_what_a_recipe_may_say_the_schema_takes(kind, text):
    KINDS[kind].model_validate(tomllib.loads(text))
    assert checked(text, kind) == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("upscale", 'model = "m"\ntile = 3'),
        ("upscale", 'model = "m"\n[settings]\ndial = 2'),
        ("train", 'name = "a"\n[settings]\nfactor = 5'),
        ("train", 'name = "a"\n[settings.instrument]\nphotons = "many"'),
        ("train", "description = 'no name'"),
    ],
)
def test_what_a_recipe_may_not_say_the_schema_refuses(kind, text):
    assert checked(text, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_a_recipe_is_explained(kind):
    schema = schema_of(KINDS[kind])
    parts = {"": schema, **schema["$defs"]}
    bare = [
        (name, key)
        for name, part in parts.items()
        for key, field in part["properties"].items()
        if "$ref" not in field and not field.get("description")
    ]
    assert bare == []
