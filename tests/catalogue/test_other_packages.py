"""Another package adds a method or an architecture by an entry point, and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

MODULE = '''
"""A method, and an architecture, as another package may bring them."""
from torch import nn
from napari_sr.methods.weightless import Weightless
from napari_sr.networks.generator import Generator

class Doubled(Weightless):
    def __init__(self, factor, *, gain=1.0):
        super().__init__("doubled", factor, halo=0, copies=1, gain=gain)
    def __call__(self, batch):
        fine = batch.repeat_interleave(self.factor, -1)
        return fine.repeat_interleave(self.factor, -2) * self.options["gain"]

class Shuffled(Generator):
    in_channels, halo = 1, 1
    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.layer = nn.Conv2d(1, factor**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(factor)
    def raw_output(self, batch):
        return self.shuffle(self.layer(batch))
'''
METADATA = "Metadata-Version: 2.1\nName: others\nVersion: 1\n"
ENTRIES = """
[napari_sr.methods]
doubled = others:Doubled
[napari_sr.architectures]
shuffled = others:Shuffled
"""
USE = """
import json, numpy as np, napari_sr as sr
from napari_sr.cli import main
twice = lambda a: a.repeat(2, 0).repeat(2, 1)
plane = 1000 + 100 * np.arange(64, dtype=np.uint16).reshape(8, 8)
method = sr.load_model("doubled", factor=2)
settings = sr.TrainingSettings(
    architecture="shuffled", iterations=2, batch=1, patch=16, factor=2
)
rng = np.random.default_rng(0)
images = [rng.integers(0, 9999, (64, 64), np.uint16) for _ in range(2)]
model = sr.finetune(images, None, settings=settings)
sr.save_model(model, "mine.safetensors")
print(json.dumps({
    "listed": "doubled" in [one.name for one in sr.list_models()],
    "pixels": np.array_equal(sr.upscale(plane, method), twice(plane)),
    "trained": sr.upscale(plane, "mine.safetensors", device="cpu").shape,
}))
"""


@pytest.fixture
def other_package(tmp_path):
    """Give a folder in which a package lies as pip would have installed it."""
    (tmp_path / "others.py").write_text(MODULE)
    info = tmp_path / "others-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRIES)
    return tmp_path


def test_what_another_package_brings_is_listed_used_and_trained(other_package):
    paths = os.pathsep.join([str(other_package), *filter(None, sys.path)])

    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=other_package,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said == {"listed": True, "pixels": True, "trained": [16, 16]}
