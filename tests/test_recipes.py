"""Recipes: what a TOML file may say, and what is said when it says something else."""

from __future__ import annotations

import pytest

from napari_sr.recipes import RecipeError, read_recipe

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
    pytest.param('name = "a"\nepochs = 3', "epochs: Extra inputs", id="unknown key"),
    pytest.param(
        'name = "a"\n[settings]\nrate = 1', "settings.rate", id="unknown setting"
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
    text = 'name = "a"\nbase = "fluorescence-x2"'

    assert read_recipe(written(tmp_path, text)).base == "fluorescence-x2"


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_is_refused(text, why, tmp_path):
    with pytest.raises(RecipeError, match=why) as refused:
        read_recipe(written(tmp_path, text))
    assert "recipe.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_recipe_is_said(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")
