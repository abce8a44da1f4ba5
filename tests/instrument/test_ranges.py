"""The instrument: what can be described, and what is refused."""

from __future__ import annotations

from math import exp, pi

import pytest
from pydantic import ValidationError

from napari_sr.instrument.ranges import (
    Correlation,
    Defects,
    Instrument,
    Jpeg,
    check_blur,
    with_psf_sigma,
)
from napari_sr.settings import TrainingSettings

BEAD = ((0.0, 1.0), (2.0, 5.0))


def test_an_instrument_can_be_fixed():
    assert Instrument(psf_sigma=(0, 0), photons=(50, 50)).photons == (50, 50)


def test_an_instrument_is_read_back_from_its_json():
    instrument = Instrument(
        psf_image=BEAD,
        photons=None,
        offset=(-0.5, 0.1),
        counts=(1000, 65_535),
        defects=Defects(ring=(0, 2), stripes=(0, 1), share=0.5),
        correlation=Correlation(share=0.5, sigma=(0, 2), share_ramp=0.1),
        jpeg=Jpeg(share=0.1),
    )

    assert Instrument.model_validate_json(instrument.model_dump_json()) == instrument


RISING = [
    {"photons": (0, 10)},
    {"photons": (10, 5)},
    {"read": (0, 0.1)},
    {"read": (0.1, float("inf"))},
    {"psf_sigma": (-1, 1)},
    {"psf_sigma": (2, 1)},
    {"psf_ratio": (0, 1)},
    {"counts": (0, 100)},
    {"defects": {"ring": (-1, 1)}},
    {"defects": {"bad_pixels": (0.2, 0.1)}},
    {"correlation": {"sigma": (1, 0.5)}},
    {"correlation": {"sigma": (-1, 0.5)}},
    {"jpeg": {"quality": (90, 50)}},
]


@pytest.mark.parametrize("wrong", RISING, ids=str)
def test_a_range_from_which_nothing_can_be_drawn_is_refused(wrong):
    with pytest.raises(ValidationError, match="from a smaller to a larger positive"):
        Instrument.model_validate(wrong)


ABSURD = [
    {"psf_sigma": (0, 40)},
    {"psf_ratio": (1, 1000)},
    {"photons": (1e-6, 100)},
    {"photons": (100, 1e12)},
    {"read": (0.1, 500)},
    {"counts": (0.1, 100)},
    {"defects": {"ring": (0, 100)}},
    {"correlation": {"sigma": (0, 50)}},
]


@pytest.mark.parametrize("wrong", ABSURD, ids=str)
def test_what_no_instrument_has_is_refused_with_the_range_and_why(wrong):
    with pytest.raises(ValidationError, match=r"goes from .* at most, since .* unit"):
        Instrument.model_validate(wrong)


def test_a_blur_of_two_recorded_pixels_is_the_widest():
    check_blur(4.0, 2)
    with pytest.raises(ValueError, match=r"from 0 to 4 pixels .* got 4\.1"):
        check_blur(4.1, 2)
    assert with_psf_sigma(Instrument(), 1.0, 2).psf_sigma == (0.9, 1.1)
    assert with_psf_sigma(Instrument(), 4.0, 2).psf_sigma == (3.6, 4.0)
    # exp(−2π²σ²f²) at the Nyquist frequency of the recording, as the message says
    assert exp(-2 * (pi * 4.0 / 4) ** 2) < 1e-8


@pytest.mark.parametrize(
    "wrong",
    [{"instrument": {"psf_sigma": (0, 5)}}, {"for_z": {"ratio": 3, "blur": 7}}],
    ids=str,
)
def test_settings_refuse_a_blur_that_leaves_nothing(wrong):
    with pytest.raises(ValidationError, match="less than 1e-8 of the contrast"):
        TrainingSettings.model_validate({"factor": 2, **wrong})


@pytest.mark.parametrize(
    "wrong", [{"offset": (0.2, 0.1)}, {"psf_angle": (0, float("inf"))}], ids=str
)
def test_a_range_that_falls_or_has_no_end_is_refused(wrong):
    with pytest.raises(ValidationError, match="from a smaller to a larger number"):
        Instrument(**wrong)


def test_more_than_all_cannot_be_a_share():
    with pytest.raises(ValidationError, match="fraction between 0 and 1"):
        Defects(bad_pixels=(0, 1.5))
    with pytest.raises(ValidationError, match="fraction between 0 and 1"):
        Correlation(sampled=(0, 1.5))


@pytest.mark.parametrize("quality", [(0, 50), (50, 101)], ids=str)
def test_what_is_no_quality_of_a_jpeg_file_is_refused(quality):
    with pytest.raises(ValidationError, match="than or equal to 1"):
        Jpeg(quality=quality)


@pytest.mark.parametrize(
    "image",
    [((1.0, 2.0), (3.0,)), ((0.0, 0.0),), ((-2.0, 1.0),), ((float("nan"),),), ()],
    ids=["ragged", "dark", "negative", "nan", "empty"],
)
def test_an_image_that_is_no_point_spread_function_is_refused(image):
    with pytest.raises(ValidationError, match="Subtract the background"):
        Instrument(psf_image=image)


@pytest.mark.parametrize(
    "width", [{"psf_sigma": (0, 1)}, {"psf_ratio": (0.5, 2)}], ids=str
)
def test_a_gaussian_beside_a_measured_image_is_refused(width):
    with pytest.raises(ValidationError, match="takes the place of a Gaussian"):
        Instrument(psf_image=BEAD, **width)


def test_an_unknown_field_is_refused():
    with pytest.raises(ValidationError, match="Extra inputs"):
        Instrument(psf=1)


def test_a_recipe_can_say_that_nothing_is_counted():
    assert Instrument(photons="none") == Instrument(photons=None)
    with pytest.raises(ValueError, match="photons"):
        Instrument(photons="few")
