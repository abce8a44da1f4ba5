"""Packages of bioimage.io: valid for its own tools, which compute the same."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from tiny_models import tiny_fast, tiny_srresnet

from napari_sr.catalogue.exporting import export_model
from napari_sr.image.tiling import pad_plane

pytest.importorskip("onnxscript", reason="napari-sr[onnx] is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[3, 4], ids=["told the noise", "not told"])
def model(request):
    return tiny_fast(3) if request.param == 3 else tiny_srresnet(4)


@pytest.fixture(scope="module")
def package(model, tmp_path_factory):
    return export_model(model, tmp_path_factory.mktemp("packages") / "a.zip")


def test_a_package_has_all_that_it_names(model, package):
    with zipfile.ZipFile(package) as file:
        files = {name: file.read(name) for name in file.namelist()}
    described = json.loads(files.pop("rdf.yaml"))
    assert all(name in json.dumps(described) for name in files)
    n_inputs = 1 + len(model.conditions)
    assert [one["id"] for one in described["inputs"]] == ["image", "noise"][:n_inputs]
    assert described["license"] == "BSD-3-Clause"
    low, high = (
        np.load(io.BytesIO(files[f"test_{name}.npy"])) for name in ("image", "result")
    )
    assert np.array_equal(high.shape[2:], np.multiply(low.shape[2:], model.factor))
    assert b"not for diagnosis" in files["README.md"]


@pytest.mark.filterwarnings("ignore")
def test_the_library_of_descriptions_finds_nothing_wrong(package):
    spec = pytest.importorskip("bioimageio.spec", reason="is not installed")
    described = spec.load_description(package)
    if "index_key" in str(described.validation_summary.errors):
        pytest.skip("bioimageio.spec before 0.5.14 does not fit pydantic 2.14")
    assert described.validation_summary.status == "valid-format"
    assert described.validation_summary.errors == []


@pytest.mark.filterwarnings("ignore")
def test_its_own_tools_pass_it_and_compute_the_same(model, package):
    bioimageio = pytest.importorskip("bioimageio.core", reason="is not installed")
    summary = bioimageio.test_description(package)
    assert summary.status == "passed", summary.display()
    random = np.random.default_rng(0)
    image = random.integers(100, 4000, (1, 1, 70, 81)).astype(np.float32)
    given = {"image": image}
    if "noise" in model.conditions:
        given["noise"] = np.full((1, 1), 0.02, np.float32)
    described = bioimageio.load_description(package)
    came = bioimageio.predict(model=described, inputs=given).members["result"]
    low, high = np.percentile(image, (0.1, 99.9))
    plane = pad_plane((image[0, 0] - low) / (high - low), model.halo)
    told = [plane, np.full_like(plane, 0.02)][: len(given)]
    cut = slice(model.factor * model.halo, -model.factor * model.halo)
    batch = torch.from_numpy(np.stack(told)[None]).float()
    expected = model(batch)[0, 0, cut, cut]
    np.testing.assert_allclose(
        np.squeeze(came.data.data), expected.numpy(), rtol=0, atol=1e-5
    )
