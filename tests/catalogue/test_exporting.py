"""Models for other programs: the same pixels there as here."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tiny_models import tiny_fast, tiny_srresnet

import napari_sr as sr
from napari_sr.catalogue.exporting import export_model
from napari_sr.cli import main
from napari_sr.image.intensity import NoiseLevel
from napari_sr.image.tiling import pad_plane
from napari_sr.instrument.noise import noise_map
from napari_sr.interop.single_network import PlainNetwork
from napari_sr.models.sr_model import SRModel, save_model


def textured(model):
    """The same with a textured end."""
    other = tiny_fast(seed=1).weights["faithful"]
    card = model.card.model_copy(update={"recommended_dial": 0.25})
    return SRModel(card, {**model.weights, "textured": other})


def normed(model):
    """With norms as after a training, not as they begin."""
    draw = torch.Generator().manual_seed(0)
    weights = {
        key: 0.5 + torch.rand(tensor.shape, generator=draw)
        if ".running_" in key
        else tensor
        for key, tensor in model.weights["faithful"].items()
    }
    card = {"output_scale": 0.5, "output_offset": 0.5}
    return SRModel(model.card.model_copy(update=card), {"faithful": weights})


MODELS = {
    "told the noise": lambda: tiny_fast(3),
    "at a dial": lambda: textured(tiny_fast()),
    "of the paper": lambda: normed(tiny_srresnet(4)),
    "of the paper, told the noise": lambda: normed(tiny_srresnet(4, in_channels=2)),
}


@torch.inference_mode()
def with_border(model, batch):
    """What a model's network gives, its border included, which a model leaves out."""
    return model.network(batch)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_the_plain_network_is_the_model(make):
    model = make()
    network = PlainNetwork(model)
    inputs = network.example(13, 17)
    torch.testing.assert_close(
        network(*inputs),
        with_border(model, torch.cat(inputs, dim=1)),
        rtol=0,
        atol=1e-5,
    )


@pytest.fixture(scope="module")
def onnx_of(tmp_path_factory):
    """Export a model of `MODELS`, once."""
    runtime = pytest.importorskip("onnxruntime", reason="napari-sr[onnx]")
    pytest.importorskip("onnxscript", reason="napari-sr[onnx] is not installed")
    folder = tmp_path_factory.mktemp("onnx") / "new"

    def exported(name):
        path = folder / f"{name}.onnx"
        if not path.exists():
            assert export_model(MODELS[name](), path) == path
        return path, runtime.InferenceSession(path)

    return exported


@pytest.mark.parametrize(
    "name",
    [
        "told the noise",
        pytest.param("at a dial", marks=pytest.mark.slow),
        pytest.param("of the paper", marks=pytest.mark.slow),
    ],
)
def test_onnx_gives_the_same_pixels_at_any_size(name, onnx_of):
    model, (path, session) = MODELS[name](), onnx_of(name)
    told = session.get_modelmeta().custom_metadata_map
    assert (told["factor"], told["halo"]) == (str(model.factor), str(model.halo))
    assert told["dial"] == str(model.dial)
    assert json.loads(told["intensity"])["kind"] == "percentile"
    assert "not for diagnosis" in told["use"]
    names = [one.name for one in session.get_inputs()]
    assert names == ["image", "noise"][: 1 + len(model.conditions)]
    draw = torch.Generator().manual_seed(3)
    for shape in ((1, 1, 9, 64), (3, 1, 40, 31)):
        inputs = [torch.rand(shape, generator=draw) for _ in names]
        (came,) = session.run(
            None, {k: v.numpy() for k, v in zip(names, inputs, strict=True)}
        )
        expected = with_border(model, torch.cat(inputs, dim=1)).numpy()
        np.testing.assert_allclose(came, expected, rtol=0, atol=1e-5)
    assert b".py" not in path.read_bytes()  # no traces of where it was made


def test_what_the_file_says_of_its_use_gives_the_counts_of_this_package(onnx_of):
    model, (_, session) = tiny_fast(3), onnx_of("told the noise")
    counts = np.random.default_rng(0).integers(100, 4000, (30, 41)).astype(np.uint16)
    low, high, gain = 100.0, 4000.0, 2.0
    plane = torch.from_numpy((counts - low) / (high - low))[None, None].float()
    halo = int(session.get_modelmeta().custom_metadata_map["halo"])
    noise = noise_map(plane, gain / (high - low), 0, -low / (high - low))
    image, told = (
        pad_plane(one[0, 0].numpy(), halo)[None, None] for one in (plane, noise)
    )
    (result,) = session.run(None, {"image": image, "noise": told})
    cut = slice(3 * halo, -3 * halo)
    result = result[0, 0, cut, cut] * (high - low) + low
    expected = sr.upscale(
        counts,
        model,
        intensity_range=(low, high),
        noise=NoiseLevel(gain=gain),
        consistency="off",
    )
    assert np.abs(np.rint(result.clip(min=0)) - expected).max() <= 1


def test_a_network_of_the_paper_that_is_told_the_noise_has_no_state_dict(tmp_path):
    """Others would load it as one of two colours."""
    with pytest.raises(ValueError, match="takes a noise map beside the image"):
        export_model(tiny_srresnet(4, in_channels=2), tmp_path / "a.pth")

    assert not [*tmp_path.iterdir()]


def test_a_state_dict_is_loaded_back_as_the_same_network(tmp_path):
    model = normed(tiny_srresnet(4))
    path = export_model(model, tmp_path / "a.pth")
    again = sr.load_model(path)
    assert again.card.imported["layout"] == "Lornatang/SRGAN-PyTorch"
    image = torch.rand(1, 1, 12, 15, generator=torch.Generator().manual_seed(1))
    expected = with_border(model, image).clamp(0, 1)
    torch.testing.assert_close(with_border(again, image), expected, rtol=0, atol=1e-5)
    assert 0 < expected.std()


def test_what_cannot_be_exported_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path / "models"))
    save_model(tiny_fast(), tmp_path / "models" / "tiny.safetensors")
    (tmp_path / "there.onnx").write_bytes(b"mine")

    def export(name, output, *more):
        code = main(["models", "export", name, "-o", str(tmp_path / output), *more])
        return code, capsys.readouterr().err

    for name, output, more, said in (
        ("tiny", "a.png", (), "expected a name that ends in .onnx, .zip, .pth"),
        ("tiny", "there.onnx", (), "exists"),
        ("tiny", "a.onnx", ("--dial", "0.5"), "no textured end"),
        ("tiny", "a.pth", (), "not the SRResNet of the paper"),
        ("absent", "a.onnx", (), "There is no model"),
    ):
        code, told = export(name, output, *more)
        assert (code, told.count("\n")) == (1, 1)
        assert said in told
    assert (tmp_path / "there.onnx").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "there.onnx"]


def test_what_has_no_network_is_refused_by_name(tmp_path):
    for method in ("bicubic", sr.load_model("bicubic", factor=2)):
        with pytest.raises(ValueError, match="'bicubic' is not a trained model"):
            export_model(method, tmp_path / "b.onnx")
