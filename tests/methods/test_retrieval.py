"""A lab's own bank: what is found in it, and what is taken from it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from tiny_models import tiny_fast

from napari_sr.catalogue.lookup import load_model
from napari_sr.cli import main
from napari_sr.image.sampling import binned
from napari_sr.image.stack import Stack
from napari_sr.methods.bank import Bank, described, write_bank
from napari_sr.methods.retrieval import Retrieval
from napari_sr.methods.similarity_weights import trusted
from napari_sr.models.upscaler import Prepared
from napari_sr.phantoms import make_phantom
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import upscale
from napari_sr.upscaling.plan import make_plan
from napari_sr.upscaling.progress import run_to_end

SHIFT = (7, 12)
"""Rows and columns by which the bank's field lies elsewhere."""


def specimen(kind, seed, size=200):
    truth = make_phantom(kind, n_planes=1, size=size, seed=seed).truth
    return truth.reshape(size, size).astype(np.float32)


@pytest.fixture(scope="module")
def banks(tmp_path_factory):
    """A bank with the same field, moved and with noise of its own; one without it."""
    folder = tmp_path_factory.mktemp("bank")
    field = specimen("filaments", 3)
    noise = np.random.default_rng(0).normal(0, 0.01 * np.ptp(field), field.shape)
    tifffile.imwrite(folder / "same.tif", (field + noise).astype(np.float32))
    for seed in (1, 2):
        tifffile.imwrite(folder / f"cells{seed}.tif", specimen("nuclei", seed))
    cells = sorted(folder.glob("cells*.tif"))
    run_to_end(write_bank([*cells, folder / "same.tif"], folder / "near.npz"))
    run_to_end(write_bank(cells, folder / "far.npz"))
    truth = field[SHIFT[0] : SHIFT[0] + 128, SHIFT[1] : SHIFT[1] + 128]
    return folder, truth


def error(result, truth):
    return float(np.mean((result - truth)[8:-8, 8:-8] ** 2))


def test_the_image_of_the_same_field_is_found_and_laid_where_it_belongs(banks):
    folder, truth = banks
    method = load_model("retrieval", factor=2, bank=str(folder / "near.npz"))
    low = torch.from_numpy(binned(truth, 2) / np.ptp(truth)).float()[None, None]
    first = method.laid_over(low)[0]
    assert (first.name, first.shift) == ("same.tif", SHIFT)


def test_detail_of_the_same_field_makes_it_better_and_of_another_no_worse(banks):
    folder, truth = banks
    low = binned(truth, 2)
    base = error(upscale(low, load_model("bicubic", factor=2)), truth)
    near, far = (
        upscale(low, load_model("retrieval", factor=2, bank=str(folder / name)))
        for name in ("near.npz", "far.npz")
    )
    assert error(near, truth) < 0.65 * base
    assert error(far, truth) < 1.02 * base
    # Only what lies within recorded pixels is taken from elsewhere.
    bicubic = binned(upscale(low, load_model("bicubic", factor=2)), 2)
    np.testing.assert_allclose(binned(near, 2), bicubic, atol=1e-4 * np.ptp(low))


def test_it_says_which_image_each_region_comes_from(banks):
    folder, truth = banks
    method = load_model("retrieval", factor=2, bank=str(folder / "near.npz"))
    low = torch.from_numpy(binned(truth, 2) / np.ptp(truth)).float()[None, None]
    _, shares = method.explained(method.inputs(low, None, Prepared()))
    assert shares.shape == (1, 3, 64, 64)
    inner = shares[0, :, 8:-8, 8:-8]
    assert inner.sum(0).max() <= 1 + 1e-5
    assert inner[0].mean() > 10 * inner[1:].mean()


def test_a_bank_says_the_same_when_it_is_read_again(banks):
    folder, _ = banks
    bank = Bank.read(folder / "near.npz")
    assert [entry.name for entry in bank.entries] == [
        "cells1.tif",
        "cells2.tif",
        "same.tif",
    ]
    pixels = bank.entries[2].pixels()
    np.testing.assert_allclose(
        bank.entries[2].descriptors, described(pixels), atol=0.01
    )
    assert (folder / "near.npz").stat().st_size < 100_000


def test_what_is_no_bank_or_another_one_is_refused(banks, tmp_path):
    folder, _ = banks
    with pytest.raises(ValueError, match="is not a bank of images"):
        load_model("retrieval", factor=2, bank=str(folder / "same.tif"))
    path = str(folder / "near.npz")
    with pytest.raises(ValueError, match="not the bank that was used"):
        load_model("retrieval", factor=2, bank=path, bank_sha256="0" * 64)
    with pytest.raises(ValueError, match="no image to index"):
        run_to_end(write_bank([], tmp_path / "none.npz"))
    assert not list(tmp_path.iterdir())


def test_the_command_indexes_a_folder(banks, tmp_path, capsys):
    folder, _ = banks
    output = tmp_path / "bank.npz"
    assert main(["bank", str(folder), "-o", str(output)]) == 0
    assert len(Bank.read(output).entries) == 3
    assert main(["bank", str(folder), "-o", str(tmp_path / "bank.zip")]) == 1
    assert "ends in .npz" in capsys.readouterr().err


def test_a_trained_base_keeps_its_ways_and_is_stated(banks):
    folder, truth = banks
    bank, base = str(folder / "near.npz"), tiny_fast(2).at_dial(0.0)
    low = Stack.from_array(binned(truth, 2).astype(np.float32))
    method = Retrieval(2, bank=bank, base=base)
    alone, plan = (make_plan(low, one, UpscaleSettings()) for one in (base, method))
    assert plan.consistency == alone.consistency != "off"
    assert plan.options["base_sha256"] == base.digest
    assert plan.options["dial"] == 0.0
    with pytest.raises(ValueError, match="not the base that was used"):
        Retrieval(2, bank=bank, base=base, base_sha256="0" * 64)
    with pytest.raises(ValueError, match="'bicubic' has no dial"):
        load_model("retrieval", factor=2, bank=bank, dial=0.0)
    at_dial = {"base": "general-x2", "dial": 0.0}
    assert load_model("retrieval", factor=2, bank=bank, **at_dial).base.dial == 0.0


def test_trust_is_what_the_finest_detail_has_in_common():
    draw = torch.Generator().manual_seed(0)
    low, other, noise = torch.rand(3, 1, 1, 64, 64, generator=draw)
    mixed = (low + other) / 2
    for theirs, least, most in (
        ([low], 0.9, 1.0),
        ([other], 0.0, 0.01),
        ([mixed], 0.4, 1.0),
        ([other, low], 0.9, 1.0),
    ):
        shares = trusted(low, torch.cat(theirs, 1))[0, :, 10:-10, 10:-10]
        assert least <= shares.sum(0).mean() <= most
    # What explains a noisy recording in part is still taken, with more caution.
    noisy = trusted(low + noise - 0.5, low)[..., 10:-10, 10:-10].mean()
    assert 0.5 < noisy < 0.9
