"""Settings: what is understood, and what is refused with its cure."""

from __future__ import annotations

import argparse
from typing import Literal

import pytest
from pydantic import ValidationError

from napari_sr.cards.model_card import Instrument
from napari_sr.cli.flags import add_flags, typed_in
from napari_sr.image.intensity import NoiseLevel
from napari_sr.settings import (
    AdversarialSettings,
    TrainingSettings,
    UpscaleSettings,
    explain,
)

UNDERSTOOD = [
    pytest.param({}, "noise", "auto", id="noise by default"),
    pytest.param({"noise": "auto"}, "noise", "auto", id="noise auto"),
    pytest.param({"noise": 0}, "noise", NoiseLevel(), id="noise 0"),
    pytest.param({"noise": 0.0}, "noise", NoiseLevel(), id="noise 0.0"),
    pytest.param(
        {"noise": NoiseLevel(2, 3, 100)}, "noise", NoiseLevel(2, 3, 100), id="level"
    ),
    pytest.param(
        {"noise": {"gain": 2, "offset": 100}},
        "noise",
        NoiseLevel(2, 0, 100),
        id="noise as a mapping",
    ),
    pytest.param({"tile": "auto"}, "tile", "auto", id="tile auto"),
    pytest.param({"tile": 96}, "tile", 96, id="tile"),
    pytest.param({"dtype": "float32"}, "dtype", "float32", id="dtype"),
    pytest.param({"dial": 0.25}, "dial", 0.25, id="dial"),
    pytest.param({"dial": 1}, "dial", 1, id="dial 1"),
    pytest.param(
        {"intensity_range": [100, 4000]},
        "intensity_range",
        (100, 4000),
        id="intensity range",
    ),
]

REFUSED = [
    pytest.param({"tiles": 96}, "tiles", id="unknown key"),
    pytest.param(
        {"noise": 3},
        r"noise is 'auto', 0 or a NoiseLevel, got 3\..*NoiseLevel\(read=3\)",
        id="noise 3",
    ),
    pytest.param({"noise": float("nan")}, "got nan", id="noise nan"),
    pytest.param({"noise": True}, "noise", id="noise True"),
    pytest.param({"noise": "much"}, "noise", id="noise much"),
    pytest.param({"noise": (1, 2, 3)}, "NoiseLevel", id="noise triple"),
    pytest.param({"noise": {"read": -1}}, "at least 0", id="negative noise"),
    pytest.param(
        {"noise": {"red": 1}},
        "gain, read, offset, correlation, got.*red",
        id="unknown part of a level",
    ),
    pytest.param({"noise": {"gain": "a"}}, "the numbers gain, read", id="no number"),
    pytest.param({"tile": 0}, "positive number of pixels, got 0", id="tile 0"),
    pytest.param({"tile": -5}, "positive number of pixels, got -5", id="negative tile"),
    pytest.param({"tile": "big"}, "tile", id="tile big"),
    pytest.param({"tile": 64.5}, "tile", id="broken tile"),
    pytest.param({"dial": 1.01}, "less than or equal to 1", id="dial"),
    pytest.param({"dial": -0.1}, "greater than or equal to 0", id="negative dial"),
    pytest.param({"dial": float("nan")}, "dial", id="dial nan"),
    pytest.param({"dtype": "float64"}, "'float32'", id="dtype"),
    pytest.param({"precision": "double"}, "'bfloat16'", id="precision"),
    pytest.param({"intensity_range": [1]}, "intensity_range", id="half a range"),
]

TRAINING_REFUSED = [
    pytest.param({"epochs": 3}, "epochs", id="unknown key"),
    pytest.param({"factor": 5}, "factor", id="factor"),
    pytest.param({"iterations": -1}, "iterations", id="iterations"),
    pytest.param({"patch": 8}, "patch", id="patch"),
    pytest.param({"learning_rate": 0}, "learning_rate", id="learning rate"),
    pytest.param({"averaging": 1}, "averaging", id="averaging"),
    pytest.param({"share_flat": 1.5}, "share_flat", id="flat fields"),
    pytest.param({"seed": -1}, "seed", id="negative seed"),
    pytest.param({"seed": 2**31}, "seed", id="large seed"),
    pytest.param({"instrument": {"gain": 1}}, "gain", id="instrument"),
]


@pytest.mark.parametrize(("given", "name", "understood"), UNDERSTOOD)
def test_what_is_understood(given, name, understood):
    assert getattr(UpscaleSettings(**given), name) == understood


@pytest.mark.parametrize(("given", "why"), REFUSED)
def test_what_is_refused(given, why):
    with pytest.raises(ValidationError, match=why):
        UpscaleSettings(**given)


@pytest.mark.parametrize(("given", "why"), TRAINING_REFUSED)
def test_what_a_training_refuses(given, why):
    with pytest.raises(ValidationError, match=why):
        TrainingSettings(**given)


@pytest.mark.parametrize("settings", [UpscaleSettings(), TrainingSettings()])
def test_settings_are_frozen(settings):
    name = next(iter(type(settings).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings, name, "other")


WRITTEN = [
    UpscaleSettings(),
    UpscaleSettings(noise=NoiseLevel(1.5, 2, 100), tile=96, intensity_range=(1, 2)),
    TrainingSettings(),
    TrainingSettings(
        factor=4, arguments={"channels": 8}, instrument=Instrument(photons=(50, 100))
    ),
]


@pytest.mark.parametrize("settings", WRITTEN, ids=repr)
def test_settings_can_be_written_and_read(settings):
    assert type(settings).model_validate_json(settings.model_dump_json()) == settings


def test_each_setting_is_a_flag_with_its_explanation():
    class More(UpscaleSettings):
        colour: Literal["grey", "red"] = "grey"
        """What a new setting would say."""
        weights: tuple[float, float] | None = None
        """Two numbers."""
        depth: int = 3
        """One number."""

    parser = argparse.ArgumentParser()
    add_flags(parser, More)

    typed = parser.parse_args(
        ["--colour", "red", "--weights", "-1", "2", "--depth", "5", "--tile", "64"]
    )
    settings = More.model_validate(typed_in(typed, More))

    assert settings == More(colour="red", weights=(-1, 2), depth=5, tile=64)
    assert "What a new setting would say." in parser.format_help()
    assert More.model_fields.keys() == vars(typed).keys()


def test_no_setting_is_without_an_explanation():
    for settings in (UpscaleSettings, TrainingSettings, AdversarialSettings):
        for name, field in settings.model_fields.items():
            assert field.description, name


def test_white_noise_is_written_as_before_it_could_be_correlated():
    def written(level):
        settings = UpscaleSettings(noise=level)
        said = settings.model_dump(mode="json")["noise"]
        assert UpscaleSettings(noise=said) == settings
        return said

    assert written("auto") == "auto"
    assert written(NoiseLevel(2, 3, 4)) == {"gain": 2, "read": 3, "offset": 4}
    assert written(NoiseLevel(correlation=0.5))["correlation"] == 0.5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"z": "isotropc"},
            "--z: expected isotropic or a number above 1, got 'isotropc'",
        ),
        ({"factor": 1}, "factor=1 keeps the pixel size in the plane, so it needs z"),
    ],
)
def test_what_is_wrong_along_z_is_said_as_it_was_typed(options, said):
    with pytest.raises(ValidationError) as raised:
        UpscaleSettings(**options)
    assert explain(raised.value, "--").startswith(said)
