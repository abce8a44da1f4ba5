"""Networks of other repositories: the same pixels, or one sentence; never code."""

from __future__ import annotations

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from torch.nn import functional

import napari_sr as sr
from napari_sr.cards.model_card import ModelFormatError
from napari_sr.catalogue.installing import install_foreign
from napari_sr.cli import main
from napari_sr.interop.layouts import LAYOUTS

N_BLOCKS, CHANNELS = 5, 8
MEAN = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)


def made(layout, factor=2, colours=3):  # noqa: C901 - one line for each layer
    """Random weights under the names of a layout."""
    draw = torch.Generator().manual_seed(factor)
    held = {}

    def random(*shape):
        return torch.randn(*shape, generator=draw)

    def convolution(name, n_out, n_in, kernel=3):
        held[f"{name}.weight"] = random(n_out, n_in, kernel, kernel) / (
            n_in**0.5 * kernel
        )
        held[f"{name}.bias"] = random(n_out) / 10

    def norm(name):
        if name:
            held[f"{name}.weight"] = 1 + random(CHANNELS) / 10
            held[f"{name}.bias"] = random(CHANNELS) / 10
            held[f"{name}.running_mean"] = random(CHANNELS) / 10
            held[f"{name}.running_var"] = 1 + random(CHANNELS).abs()
            held[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def slope(name):
        if name:
            held[f"{name}.weight"] = torch.tensor([0.3])

    outer = 3 if layout.architecture == "msrresnet" else 9
    steps = [3] if factor == 3 else [2] * (factor // 2)
    convolution(layout.head, CHANNELS, colours, outer)
    slope(layout.head_slope)
    for number in range(layout.first_block, layout.first_block + N_BLOCKS):
        for name in (layout.first, layout.second):
            convolution(name.format(i=number), CHANNELS, CHANNELS)
        for name in (layout.first_norm, layout.second_norm):
            norm(name.format(i=number))
        slope(layout.slope.format(i=number))
    for name in filter(None, (layout.middle, layout.fine)):
        convolution(name, CHANNELS, CHANNELS)
    norm(layout.middle_norm)
    for number, step in enumerate(steps, layout.first_step):
        name = layout.upsampling.format(i=number)
        convolution(name, CHANNELS * step**2, CHANNELS)
        slope(layout.upsampling_slope.format(i=number))
    convolution(layout.tail.format(n_steps=len(steps)), colours, CHANNELS, outer)
    return held


def computed(layout, held, image, factor):  # noqa: C901 - four networks in one
    """What the repository's network gives, computed from its tensors as they are."""

    def convolution(x, name):
        weight = held[f"{name}.weight"]
        return functional.conv2d(
            x, weight, held[f"{name}.bias"], padding=weight.shape[-1] // 2
        )

    def norm(x, name):
        if not name:
            return x
        parts = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(held[f"{name}.{part}"] for part in parts))

    def act(x, name, leak):
        if not name:
            return functional.leaky_relu(x, leak)
        return functional.prelu(x, held[f"{name}.weight"])

    is_plain = layout.architecture == "msrresnet"
    colours = held[f"{layout.head}.weight"].shape[1]
    x = image.repeat(1, colours, 1, 1)
    x = (x - MEAN) / DEVIATION if layout.is_imagenet_normalized else x
    shallow = x = act(convolution(x, layout.head), layout.head_slope, 0.1)
    for i in range(layout.first_block, layout.first_block + N_BLOCKS):
        y = norm(
            convolution(x, layout.first.format(i=i)), layout.first_norm.format(i=i)
        )
        y = act(y, layout.slope.format(i=i), 0.0)
        y = convolution(y, layout.second.format(i=i))
        x = x + norm(y, layout.second_norm.format(i=i))
    if not is_plain:
        x = shallow + norm(convolution(x, layout.middle), layout.middle_norm)
    steps = [3] if factor == 3 else [2] * (factor // 2)
    for i, step in enumerate(steps, layout.first_step):
        x = functional.pixel_shuffle(
            convolution(x, layout.upsampling.format(i=i)), step
        )
        x = act(x, layout.upsampling_slope.format(i=i), 0.1)
    if is_plain:
        x = functional.leaky_relu(convolution(x, layout.fine), 0.1)
    x = convolution(x, layout.tail.format(n_steps=len(steps)))
    if is_plain:
        x = x + functional.interpolate(image, scale_factor=factor, mode="bilinear")
    if "Lornatang" in layout.name:
        x = x.clamp(0, 1)
    elif not is_plain:
        x = (x.tanh() + 1) / 2
    return x.mean(1, keepdim=True)


CASES = [(layout, factor) for layout in LAYOUTS for factor in (2, 4)]
CASES.append((LAYOUTS[2], 3))


@pytest.mark.parametrize(("layout", "factor"), CASES)
def test_gives_the_pixels_of_the_original(tmp_path, layout, factor):
    held = made(layout, factor)
    wrapped = {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in held.items()}}
    torch.save(wrapped, tmp_path / "theirs.pth")
    model = sr.load_model(tmp_path / "theirs.pth")
    image = torch.rand(1, 1, 13, 17, generator=torch.Generator().manual_seed(1))
    expected = computed(layout, held, image, factor)
    assert model.factor == factor
    assert model.card.imported["layout"] == layout.name
    assert 0 < model.card.imported["reach"] <= model.halo
    found = model.network(image)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_runs_tiled_and_is_installed_by_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path / "models"))
    torch.save(made(LAYOUTS[2]), tmp_path / "theirs.pth")
    assert main(["models", "import", str(tmp_path / "theirs.pth")]) == 0
    assert "layout: XPixelGroup/BasicSR MSRResNet" in capsys.readouterr().out
    assert main(["models", "import", str(tmp_path / "theirs.pth")]) == 1  # is there
    counts = np.random.default_rng(0).integers(0, 60000, (70, 90)).astype(np.uint16)
    whole = sr.upscale(counts, "theirs", tile=512)
    tiled = sr.upscale(counts, "theirs", tile=64)
    assert np.abs(whole.astype(int) - tiled.astype(int)).max() <= 1


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda one: one.architecture)
def test_a_small_file_does_not_become_a_large_network(tmp_path, layout):
    held = made(layout)
    kernel = held[f"{layout.head}.weight"].shape[-1]
    held[f"{layout.head}.weight"] = torch.zeros(3000, 1, kernel, kernel)
    held[f"{layout.head}.bias"] = torch.zeros(3000)
    upsampling = layout.upsampling.format(i=layout.first_step)
    held[f"{upsampling}.weight"] = torch.zeros(4 * 3000, 1, 1, 1)
    torch.save(held, tmp_path / "wide.pth")

    with pytest.raises(ModelFormatError, match="more parameters than"):
        sr.load_model(tmp_path / "wide.pth")


def test_lists_the_tensors_that_do_not_fit(tmp_path):
    held = made(LAYOUTS[0])
    del held["conv3.bias"]
    held["trunk.2.rcb.9.weight"] = torch.zeros(3)
    torch.save(held, tmp_path / "theirs.pth")
    with pytest.raises(ModelFormatError) as refusal:
        sr.load_model(tmp_path / "theirs.pth")
    assert "missing: conv3.bias;" in str(refusal.value)
    assert "surplus: trunk.2.rcb.9.weight" in str(refusal.value)


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("save", ["torch", "pickle"])
def test_never_runs_what_a_file_asks_for(tmp_path, save):
    trace, path = tmp_path / "ran", tmp_path / "theirs.pth"
    held = {"state_dict": made(LAYOUTS[0]), "extra": Hostile(str(trace))}
    if save == "torch":
        torch.save(held, path)
    else:
        path.write_bytes(pickle.dumps(held["extra"]))
    with pytest.raises(ModelFormatError, match="nothing of it was run"):
        sr.load_model(path)
    assert not trace.exists()


def test_refuses_a_whole_module_and_no_weights(tmp_path):
    path = tmp_path / "theirs.pth"
    torch.save(torch.nn.PReLU(), path)
    with pytest.raises(ModelFormatError, match="state_dict"):
        sr.load_model(path)
    for held in ({}, {"a": 1}, [1], {"model": {"model": {}}}, torch.zeros(2)):
        torch.save(held, path)
        with pytest.raises(ModelFormatError, match="no state dict"):
            sr.load_model(path)
    with pytest.raises(ModelFormatError, match="no checkpoint"):
        sr.load_model(tmp_path / "absent.pth")


def test_refuses_numbers_that_are_none_and_tensors_that_are_stretched(tmp_path):
    path = tmp_path / "theirs.pth"
    for tensor, said in (
        (torch.full((3,), torch.nan), "NaN"),
        (torch.zeros(1).expand(3), "claims more"),
        (torch.zeros(3, dtype=torch.long), "floats"),
    ):
        torch.save({**made(LAYOUTS[0]), "conv3.bias": tensor}, path)
        with pytest.raises(ModelFormatError, match=said):
            sr.load_model(path)


def test_refuses_tensors_that_share_what_is_stored_a_thousand_times(tmp_path):
    path, one = tmp_path / "theirs.pth", torch.zeros(100_000)
    torch.save({f"layer{i}.weight": one for i in range(10_000)}, path)
    with pytest.raises(ModelFormatError, match="claim 4000 MB, far more than is"):
        sr.load_model(path)


def test_refuses_a_side_beside_which_there_is_nothing(tmp_path):
    path = tmp_path / "theirs.pth"
    torch.save(
        {**made(LAYOUTS[0]), "conv1.0.weight": torch.empty(10**9, 0, 9, 9)}, path
    )
    with pytest.raises(ModelFormatError, match="claims more"):
        sr.load_model(path)


def test_refuses_an_archive_that_unpacks_to_more_than_it_is(tmp_path):
    path = tmp_path / "theirs.pth"
    torch.save({"a": torch.zeros(10_000_000)}, path)
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    with pytest.raises(ModelFormatError, match="unpacks to 40 MB"):
        sr.load_model(path)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_refuses_weights_that_give_values_that_are_no_numbers(tmp_path, layout):
    path = tmp_path / "theirs.pth"
    weights = made(layout)
    for name in weights:  # finite, and too large to go on with
        if name.endswith("weight") and weights[name].ndim == 4:
            weights[name] = torch.full_like(weights[name], 1e30)
    torch.save(weights, path)

    with pytest.raises(ModelFormatError, match="not numbers"):
        sr.load_model(path)


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_damaged_file_ends_in_one_sentence(tmp_path, is_zip):
    path = tmp_path / "theirs.pth"
    torch.save(made(LAYOUTS[2]), path, _use_new_zipfile_serialization=is_zip)
    whole = path.read_bytes()
    random, refusals = np.random.default_rng(0), []
    for n in range(60):
        damaged = bytearray(whole)
        if n % 3 == 0:
            damaged = damaged[: random.integers(0, len(whole))]
        else:  # the names and the structure lie at the ends
            for _ in range(4):
                at = int(random.integers(0, 3000)) - 1500
                damaged[at] ^= 1 << int(random.integers(0, 8))
        path.write_bytes(damaged)
        try:
            sr.load_model(path)  # a flipped bit of a weight is a weight
        except ModelFormatError as refusal:
            refusals.append(str(refusal))
    assert len(refusals) > 20
    assert not any("\n" in said for said in refusals)


def test_a_renamed_tensor_is_told(tmp_path):
    for layout in LAYOUTS:
        held = made(layout)
        for key in list(held)[::7]:
            other = {name.replace(key, "other"): one for name, one in held.items()}
            torch.save(other, tmp_path / "theirs.pth")
            if key.endswith("num_batches_tracked"):
                continue
            with pytest.raises(ModelFormatError, match=r"surplus|layout"):
                sr.load_model(tmp_path / "theirs.pth")


@pytest.mark.parametrize("name", ["theirs.onnx", "theirs.py", "folder"])
def test_what_is_neither_checkpoint_nor_package_is_not_called_damaged(tmp_path, name):
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.write_bytes(b"print(1)")

    with pytest.raises(ModelFormatError, match=r"is a checkpoint .* or a package"):
        install_foreign(path)
