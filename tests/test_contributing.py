"""What CONTRIBUTING works through, done: its code runs as it stands there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import napari_sr as sr
from napari_sr import networks
from napari_sr.files import formats
from napari_sr.networks import build_generator
from napari_sr.phantoms import make_phantom

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def code_of(section):
    """Give the blocks of Python in a section."""
    text = re.split(r"^## ", TEXT.split(f"## {section}\n")[1], flags=re.M)[0]
    return re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)


@pytest.fixture
def residual(monkeypatch):
    """Put the architecture of the text into the table."""
    names = {}
    exec(code_of("A new architecture")[0], names)
    table = {**networks.ARCHITECTURES, "residual": names["Residual"]}
    monkeypatch.setattr(networks, "ARCHITECTURES", table)


def test_the_new_architecture_is_trained_and_used(residual):
    truth = make_phantom("nuclei", n_planes=1, size=128, seed=1).truth
    names = {
        "sharp_images": [truth.reshape(128, 128), np.rot90(truth.reshape(128, 128))],
        "recording": truth.reshape(128, 128)[:40, :50],
    }

    exec(code_of("A new architecture")[1], names)

    assert names["larger"].shape == (80, 100)
    assert names["model"].card.arguments == {"channels": 8}


def test_the_new_architecture_sees_no_further_than_it_says(residual):
    network = build_generator("residual", 2).eval()
    batch = torch.rand(1, 2, 41, 41)
    changed = batch.clone()
    changed[..., 20, 20] = 2.0

    with torch.no_grad():
        felt = (network(changed) != network(batch))[0, 0].nonzero() // 2 - 20

    assert int(felt.abs().max()) <= network.halo


def test_the_new_file_format_is_read_and_written(monkeypatch, tmp_path):
    module = ModuleType("numpy_file")
    exec(code_of("A new file format")[0], vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    table = (*formats.FORMATS, formats.Format("NumPy", (".npy",), module.__name__))
    monkeypatch.setattr(formats, "FORMATS", table)
    planes = np.random.default_rng(0).integers(0, 9999, (3, 20, 24), np.uint16)
    np.save(tmp_path / "a.npy", planes)
    (tmp_path / "damaged.npy").write_bytes(b"none")

    bicubic = sr.load_model("bicubic", factor=2)
    result = sr.upscale_file(tmp_path / "a.npy", tmp_path / "b.npy", bicubic)

    np.testing.assert_array_equal(np.load(result.path), sr.upscale(planes, bicubic))
    with pytest.raises(sr.StackError, match="Write it again"):
        sr.open_stack(tmp_path / "damaged.npy")


def test_every_place_that_it_names_exists():
    named = re.findall(r"`([\w/]+(?:\.py|/))`", TEXT)

    places = [ROOT / "napari_sr", ROOT]
    missing = [n for n in named if not any((place / n).exists() for place in places)]

    examples = ["networks/generators/residual.py", "files/numpy_file.py"]
    assert missing == [f"napari_sr/{example}" for example in examples]
