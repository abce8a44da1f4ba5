"""Recipes: what a TOML file may say, and what is said when it says something else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from napari_sr.image.intensity import NoiseLevel
from napari_sr.recipes import (
    RecipeError,
    UpscaleRecipe,
    read_recipe,
    read_upscale_recipe,
    upscale_recipe_text,
)
from napari_sr.settings import UpscaleSettings

WHOLE = """
name = "mine"
domain = "em"
description = "Mine."
images = ["sharp", "/elsewhere/*.tif"]
low_images = ["low"]
base = "models/start.safetensors"

[settings]
factor = 4
minutes = 3.5
instrument = { photons = [50, 100] }

[settings.adversarial]
weight = 0.01
content = "gradient"
"""

REFUSED = [
    pytest.param("name = ", "is not TOML", id="not TOML"),
    pytest.param("", "name: Field required", id="no name"),
    pytest.param('name = ""', "name", id="empty name"),
    pytest.param('name = "a"\nepochs = 3', r"unknown key `epochs`", id="unknown key"),
    pytest.param(
        'name = "a"\n[settings]\nrate = 1',
        r"unknown key `\[settings\] rate`",
        id="unknown setting",
    ),
    pytest.param(
        'name = "a"\n[settings.adversarial]\ncontent = "lpips"',
        "settings.adversarial.content",
        id="unknown content",
    ),
    pytest.param('name = "a"\n[settings]\nminutes = 0', "minutes", id="no time"),
    pytest.param('name = "a"\n[settings]\nminutes = inf', "minutes", id="no end"),
]


def written(folder, text):
    path = folder / "recipe.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_recipe_says_what_to_train_on_what_and_how(tmp_path):
    recipe = read_recipe(written(tmp_path, WHOLE))

    assert (recipe.name, recipe.domain, recipe.description) == ("mine", "em", "Mine.")
    assert recipe.settings.factor == 4
    assert recipe.settings.minutes == 3.5
    assert recipe.settings.instrument.photons == (50, 100)
    assert recipe.settings.adversarial.weight == 0.01


def test_paths_are_relative_to_the_recipe(tmp_path):
    recipe = read_recipe(written(tmp_path, WHOLE))

    assert recipe.images == (str(tmp_path / "sharp"), "/elsewhere/*.tif")
    assert recipe.low_images == (str(tmp_path / "low"),)
    assert recipe.base == str(tmp_path / "models/start.safetensors")


def test_the_base_may_be_a_name(tmp_path):
    text = 'name = "a"\nbase = "general-x2"'

    assert read_recipe(written(tmp_path, text)).base == "general-x2"


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_is_refused(text, why, tmp_path):
    with pytest.raises(RecipeError, match=why) as refused:
        read_recipe(written(tmp_path, text))
    assert "recipe.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_recipe_is_said(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")


UPSCALINGS = [
    UpscaleRecipe(model="general-x2"),
    UpscaleRecipe(
        inputs=("/data/a.tif", '/data/"b" \\ ü.tif'),
        output="/results/a_x3.ome.tif",
        model="bicubic",
        factor=3,
        channel=1,
        settings=UpscaleSettings(
            device="cpu",
            tile=128,
            noise=NoiseLevel(1.5, 20, 100),
            intensity_range=(100, 4e-05 + 4000),
            dial=0.35,
        ),
    ),
]


@pytest.mark.parametrize("recipe", UPSCALINGS, ids=["default", "everything"])
def test_a_recipe_of_an_upscaling_is_read_as_it_was_written(tmp_path, recipe):
    path = written(tmp_path, upscale_recipe_text(recipe))

    assert read_upscale_recipe(path) == recipe


def test_what_is_as_by_default_is_not_written():
    text = upscale_recipe_text(UpscaleRecipe(model="general-x2"))

    assert text == 'model = "general-x2"\n'


def test_paths_of_an_upscaling_are_relative_to_its_recipe(tmp_path):
    text = 'inputs = ["a.tif"]\noutput = "out"\nmodel = "mine.safetensors"'

    recipe = read_upscale_recipe(written(tmp_path, text))

    assert recipe.inputs == (str(tmp_path / "a.tif"),)
    assert recipe.output == str(tmp_path / "out")
    assert recipe.model == str(tmp_path / "mine.safetensors")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "model: Field required", id="no model"),
        pytest.param(
            'model = "a"\ntile = 3', "did you mean `.settings. tile`", id="unknown key"
        ),
        pytest.param(
            'model = "a"\n[settings]\nspeed = 3',
            r"unknown key `\[settings\] speed`\.",
            id="unknown setting",
        ),
        pytest.param('model = "a"\n[settings]\nnoise = 5', "read=5", id="noise"),
        pytest.param('model = "a"\n[settings]\ndial = 2', "settings.dial", id="dial"),
    ],
)
def test_what_an_upscaling_does_not_understand_is_refused(tmp_path, text, words):
    with pytest.raises(RecipeError, match=words):
        read_upscale_recipe(written(tmp_path, text))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("dial = 1", "unknown key `dial`; did you mean `[settings] dial`?"),
        (
            "[settings]\ndail = 1",
            "`[settings] dail`; did you mean `[settings] dial`?",
        ),
        ("outptu = 'a'", "unknown key `outptu`; did you mean `output`?"),
        ("[settings]\nchannel = 1", "did you mean `channel`?"),
        ("xyzzy = 1", "unknown key `xyzzy`."),
    ],
)
def test_an_unknown_key_says_what_may_be_meant(tmp_path, said, meant):
    with pytest.raises(RecipeError) as refused:
        read_upscale_recipe(written(tmp_path, f'model = "bicubic"\n{said}'))
    assert meant in str(refused.value)


def test_the_example_says_every_key_there_is():
    path = Path(__file__).parents[1] / "recipes" / "upscale.toml"
    recipe = read_upscale_recipe(path)
    assert recipe.model == "general-x2"
    said = set(re.findall(r"^(?:# )?(\w+) =", path.read_text("utf-8"), re.M))
    keys = UpscaleRecipe.model_fields.keys() | UpscaleSettings.model_fields.keys()
    assert said == keys - {"settings"}


def test_models_and_channels_may_be_named(tmp_path):
    text = 'model = { DAPI = "a.safetensors", 1 = "bicubic" }\nchannel = ["GFP", 1]'
    recipe = read_upscale_recipe(written(tmp_path, text))
    assert recipe.model == {"DAPI": str(tmp_path / "a.safetensors"), "1": "bicubic"}
    assert recipe.channel == ("GFP", 1)
