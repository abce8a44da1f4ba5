"""Networks that spandrel knows: its own pixels, tiled."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

import napari_sr as sr
from napari_sr.cards.model_card import ModelFormatError
from napari_sr.cli import main
from napari_sr.image.tiling import pad_plane

pytest.importorskip("spandrel", reason="napari-sr[spandrel] is not installed")

from spandrel import ModelLoader
from spandrel.architectures.Compact import Compact
from spandrel.architectures.RCAN import RCAN

NETWORKS = {
    "local": lambda colours: Compact(
        num_in_ch=colours, num_out_ch=colours, num_feat=8, num_conv=4, upscale=2
    ),
    "not local": lambda colours: RCAN(
        n_resgroups=1, n_resblocks=1, n_feats=8, reduction=4, n_colors=colours, scale=2
    ),
}


def saved(tmp_path, name, colours=3):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = NETWORKS[name](colours)
    path = tmp_path / "theirs.pth"
    torch.save({"params_ema": network.state_dict()}, path)
    return path


def plane():
    random = np.random.default_rng(0)
    return random.uniform(0, 1, (90, 70)).astype(np.float32)


def untiled(path, low, halo):
    """spandrel's own output of the whole plane, continued by reflection."""
    theirs = ModelLoader(device="cpu").load_from_file(path)
    padded = torch.from_numpy(pad_plane(low, halo))[None, None]
    colours = padded.repeat(1, theirs.input_channels, 1, 1)
    high = theirs(colours).mean(1)[0].numpy()
    return high[2 * halo : -2 * halo, 2 * halo : -2 * halo]


@pytest.mark.parametrize("colours", [1, 3])
def test_a_local_network_gives_its_own_pixels_for_any_tile(tmp_path, colours):
    path, low = saved(tmp_path, "local", colours), plane()
    model = sr.load_model(path)
    assert (model.factor, model.overlap, model.halo) == (2, 0, 6)
    assert "tiles are exact" in model.description
    expected = untiled(path, low, model.halo)
    for tile in (32, 64, 512):
        came = sr.upscale(low, model, tile=tile, intensity_range=(0, 1))
        np.testing.assert_allclose(came, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.01


def test_a_network_that_is_not_local_is_blended_and_says_so(tmp_path):
    path, low = saved(tmp_path, "not local"), plane()
    model = sr.load_model(path)
    assert model.overlap > 0
    assert "tiles are blended" in model.description
    expected = untiled(path, low, model.halo)
    whole = sr.upscale(low, model, tile=512, intensity_range=(0, 1))
    np.testing.assert_allclose(whole, expected, rtol=0, atol=1e-5)
    tiled = sr.upscale(low, model, tile=96, intensity_range=(0, 1))
    assert np.abs(tiled - expected).max() < 0.1


def test_an_imported_network_is_listed_with_its_self_test_and_used_by_name(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path / "models"))
    path, low = saved(tmp_path, "local"), plane()
    assert main(["models", "import", str(path)]) == 0
    shown = capsys.readouterr().out
    for word in ("Compact by spandrel", "tiles are exact", "gain:", "reach: 6"):
        assert word in shown
    assert main(["info", str(path)]) == 0
    assert "gain:" in capsys.readouterr().out
    assert main(["models"]) == 0
    assert "theirs" in capsys.readouterr().out
    results = [sr.upscale(low, one) for one in ("theirs", sr.load_model(path))]
    assert np.array_equal(*results)
    assert main(["models", "import", str(path)]) == 1
    assert "already" in capsys.readouterr().err


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_what_it_does_not_know_or_is_hostile_or_damaged_ends_in_a_sentence(tmp_path):
    path = saved(tmp_path, "local")
    held, whole = torch.load(path, weights_only=True), path.read_bytes()
    other = {name + "x": one for name, one in held["params_ema"].items()}
    trace = tmp_path / "ran"
    for hurt in (other, {**held, "extra": Hostile(str(trace))}):
        torch.save(hurt, path)
        with pytest.raises(ModelFormatError):
            sr.load_model(path)
    assert not trace.exists()
    random, refusals = np.random.default_rng(0), []
    for _ in range(20):
        path.write_bytes(whole[: random.integers(0, len(whole))])
        with pytest.raises(ModelFormatError) as refusal:
            sr.load_model(path)
        refusals.append(str(refusal.value))
    assert not any("\n" in said for said in refusals)
