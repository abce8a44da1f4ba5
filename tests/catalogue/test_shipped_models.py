"""Every model in the package: its file, its card, and the laws it must keep."""

import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter
from tiny_models import tiny_fast

import napari_sr as sr
from napari_sr.catalogue.lookup import (
    FOR_COMPARISON,
    SHIPPED,
    ReplacedModelWarning,
    list_cards,
)
from napari_sr.cli import main
from napari_sr.evaluation.baselines import baselines
from napari_sr.evaluation.protocol import (
    BLACK,
    BORDER,
    DATA_RANGE,
    FLAT_SIDE,
    WHITE,
    noise_of,
    on_scale,
    recorded,
    way_at,
)
from napari_sr.metrics.quality import (
    lattice_on_scale,
    most_on_flat_fields,
    most_on_images,
)
from napari_sr.phantoms import make_phantom

SHIPPED_NAMES = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
DATA = os.environ.get("NAPARI_SR_DATA")


def test_models_of_all_kinds_of_images_and_that_of_the_paper_are_shipped():
    assert SHIPPED_NAMES == ["general-x2", "general-x4", "srgan-x4"]


@pytest.fixture(params=SHIPPED_NAMES)
def model(request):
    return sr.load_model(request.param)


def faithful_way(model):
    """What its faithful end is called in tables: with the noise given, if it can be."""
    return f"{model.name} {'given' if 'noise' in model.conditions else 'auto'}"


def test_the_card_says_what_it_is_where_it_comes_from_and_how_good_it_is(model):
    card = model.card
    assert card.name in SHIPPED_NAMES
    assert card.description
    assert card.training_images
    assert all(image.licence and image.source for image in card.training_images)
    assert all(image.specimen for image in card.training_images)
    methods = {one.method for one in card.quality}
    assert methods >= {"bicubic", "lanczos", "Richardson-Lucy", "non-local means"}
    assert methods >= {faithful_way(model), f"{card.name} auto"}
    assert {one.photons for one in card.quality} == {None, 200, 50}


def test_the_card_shows_gains_over_bicubic_on_every_dataset(model):
    # Without being told, a network takes the grain of a sharp recording for noise.
    bound = 0.1 if "noise" in model.conditions else 0.2
    found = {(f.dataset, f.photons, f.method): f.quality for f in model.card.quality}
    for (dataset, photons, method), quality in found.items():
        if method == faithful_way(model):
            bicubic = found[dataset, photons, "bicubic"]
            assert quality.psnr > bicubic.psnr - bound, (dataset, photons)


def test_the_faithful_end_invents_nothing_from_noise(model):
    own = [f for f in model.card.flat_fields if f.method == faithful_way(model)]
    assert {one.photons for one in own} >= {50, 500, 5000}
    most = max(one.share for one in own if one.photons is not None)
    assert most <= 1 / 3


IN_RANGE, ALONE = (BLACK, WHITE), None


def lattices_above_the_bound(model):
    """Say where a model, at its dial, paints more of a lattice than it may."""
    bicubic = baselines(model.factor)["bicubic"]
    side = model.factor * FLAT_SIDE
    flat = np.full((side, side), (BLACK + WHITE) / 2, np.float32)
    # Without noise, a flat field alone in its stack has no range.
    ways = [(IN_RANGE, level) for level in (None, 200.0, 50.0)]
    ways += [(ALONE, level) for level in (200.0, 50.0)]
    for intensity_range, photons in ways:
        low, noise = recorded(flat, model.factor, photons), noise_of(photons)
        most = most_on_flat_fields(lattice_of(bicubic(low, noise), model))
        # Alone it is asked for as most are: the noise left to the model.
        for is_told in {
            "noise" in model.conditions and intensity_range is not None,
            False,
        }:
            way = way_at(model, intensity_range, is_told=is_told)
            found = lattice_of(way(low, noise), model)
            if found > most:
                yield f"flat field at {photons} photons: {found:.1f} above {most:.1f}"
    for name in ("nuclei", "foam", "mammogram"):
        truth = make_phantom(name, n_planes=1, size=256, seed=5).truth
        sharp = on_scale(np.squeeze(truth))
        most = most_on_images(lattice_of(sharp, model))
        for photons in (None, 200.0):
            low, noise = recorded(sharp, model.factor, photons), noise_of(photons)
            way = way_at(model, is_told="noise" in model.conditions)
            found = lattice_of(way(low, noise), model)
            if found > most:
                yield f"{name} at {photons} photons: {found:.1f} above {most:.1f}"


def lattice_of(image, model):
    return lattice_on_scale(image, model.factor, DATA_RANGE, BORDER)


def test_at_the_recommended_dial_there_is_no_lattice(model):
    assert not list(lattices_above_the_bound(model))


def test_a_lattice_would_be_seen():
    found = list(lattices_above_the_bound(sr.load_model("general-x4").at_dial(1)))

    assert any(one.startswith("flat field at 200") for one in found)
    assert any(not one.startswith("flat field") for one in found)


@pytest.mark.parametrize("noise", [0, "auto"])
@pytest.mark.parametrize("level", [0.0, 0.05, 0.5, 1.0])
def test_a_flat_field_stays_flat_to_half_a_percent_of_the_range(model, level, noise):
    flat = np.full((40, 50), 1000 + 20_000 * level, np.float32)
    how = {"noise": noise}
    if (
        "noise" not in model.conditions
    ):  # the paper's textured end has its texture everywhere
        how = {"dial": 0}
    result = sr.upscale(flat, model, intensity_range=(1000, 21_000), **how)
    assert np.abs(result - flat[0, 0]).max() <= 0.005 * 20_000


def test_the_result_does_not_depend_on_the_tile(model):
    recorded = make_phantom("nuclei", n_planes=1, size=160).recorded
    # Small tiles beside their halo are tried on fewer pixels: each takes as long.
    for tile, part in (
        (2 * model.halo + 1, recorded[..., 20:26, 20:27]),
        (2 * model.halo + 17, recorded[..., :60, :50]),
        (max(64, 2 * model.halo + 33), recorded[..., :90, :90]),
    ):
        whole = sr.upscale(part, model, tile=512).astype(int)
        tiled = sr.upscale(part, model, tile=tile).astype(int)
        assert np.abs(tiled - whole).max() <= 1


@pytest.mark.parametrize("name", ["scn-x2", "ikc-x2"])
def test_networks_for_comparison_are_models_like_others(name):
    """They need not pass what is asked of the models above, but obey their laws."""
    truth = make_phantom("nuclei", n_planes=1, size=160, seed=3).truth
    blurred = gaussian_filter(truth.astype(np.float32), 1.2)
    recorded = np.rint(blurred.reshape(80, 2, 80, 2).mean((1, 3))).astype(np.uint16)
    assert FOR_COMPARISON / f"{name}.safetensors" in set(FOR_COMPARISON.iterdir())
    (card,) = (one for one in list_cards() if one.name == name)
    assert all(image.licence and image.source for image in card.training_images)

    whole = sr.upscale(recorded, name).astype(int)
    tiled = sr.upscale(recorded, name, tile=60).astype(int)
    bicubic = sr.upscale(recorded, sr.load_model("bicubic", factor=2)).astype(int)

    assert np.abs(tiled - whole).max() <= 1
    errors = [np.abs(one - truth)[8:-8, 8:-8].mean() for one in (whole, bicubic)]
    assert errors[0] < errors[1]
    assert sum(path.stat().st_size for path in FOR_COMPARISON.iterdir()) < 5e6


def test_the_blur_that_was_found_is_told(tmp_path, capsys):
    recorded = make_phantom("nuclei", n_planes=1, size=160, seed=3).recorded
    source, result = tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"
    tifffile.imwrite(source, recorded)

    assert main(["upscale", str(source), "-o", str(result), "-m", "ikc-x2"]) == 0
    told = re.search(r"blur found: σ (\d\.\d\d) px", capsys.readouterr().out)
    assert main(["info", str(result)]) == 0

    assert told is not None
    assert told[0] in capsys.readouterr().out


@pytest.mark.parametrize("name", ["filaments", "nuclei"])
def test_the_estimated_noise_serves_nearly_as_well_as_the_true_one(name):
    phantom = make_phantom(name, n_planes=1, seed=7)
    truth = phantom.truth.astype(float)

    def error(noise):
        result = sr.upscale(
            phantom.recorded, "general-x2", noise=noise, dtype="float32"
        )
        return np.sqrt(np.mean((result - truth)[8:-8, 8:-8] ** 2))

    assert error("auto") < 1.1 * error(phantom.noise)
    assert error("auto") < error(0)


@pytest.mark.skipif(not DATA, reason="NAPARI_SR_DATA does not name the real images")
def test_a_real_image_that_was_not_trained_on_gains_over_bicubic():
    from benchmarks.accuracy.evaluate import specimens
    from napari_sr.evaluation.protocol import evaluate_specimen, methods_for

    model = sr.load_model("general-x2")
    _, specimen = next(iter(specimens(Path(DATA), "fluorescence", "test")))
    found = evaluate_specimen(specimen, methods_for([model]), 2, photons=(200.0,))
    psnr = {one.method: one.quality.psnr for one in found}
    assert psnr["general-x2 given"] > psnr["bicubic"] + 0.5
    assert psnr["general-x2 auto"] > psnr["bicubic"] + 0.5


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("em-x2", "general-x2"),
        ("em-x4", "general-x4"),
        ("fluorescence-x2", "general-x2"),
        ("xray-x2", "general-x2"),
    ],
)
def test_a_model_of_before_is_replaced_by_the_general_one_and_that_is_said(
    name, instead
):
    with pytest.warns(ReplacedModelWarning) as warned:
        model = sr.load_model(name)

    assert model.name == instead
    assert name not in {card.name for card in list_cards()}
    (said,) = warned
    assert str(said.message).startswith(f"{name} is no longer shipped: {instead}, at")
    assert "until version 0.3" in str(said.message)


def test_the_command_line_says_once_which_model_it_takes_instead(tmp_path, capsys):
    source, result = tmp_path / "a.tif", tmp_path / "b.ome.tif"
    tifffile.imwrite(source, np.full((20, 20), 900, np.uint16))

    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as outside of tests
        assert main(["upscale", str(source), "-o", str(result), "-m", "em-x2"]) == 0

    assert capsys.readouterr().err.count("em-x2 is no longer shipped") == 1
    assert main(["info", str(result)]) == 0
    assert "general-x2" in capsys.readouterr().out


def test_a_model_of_the_user_goes_before_what_replaced_a_shipped_one(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path))
    sr.save_model(tiny_fast(name="em-x4"), tmp_path / "em-x4.safetensors")
    assert sr.load_model("em-x4").card.domain == "test"
