"""How tiles get to a device and back, in which precision, and what fits there."""

from __future__ import annotations

import logging
from threading import Event, Thread

import numpy as np
import pretend_device
import pytest
import torch
from stacks_on_disk import counts, read_stack, write_stack
from tiny_models import tiny_fast

import napari_sr as sr
from napari_sr import device
from napari_sr.device import free_memory, full_precision, release_memory
from napari_sr.image.regions import Region
from napari_sr.image.stack import Stack
from napari_sr.methods.interpolation import Interpolation
from napari_sr.models.sr_model import SRModel
from napari_sr.runs.summary import describe_result
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import region_steps, upscale_steps
from napari_sr.upscaling.plan import make_plan

PLANES = counts((2, 60, 70))
THERE = torch.device("pretend")


@pytest.fixture
def apple(accelerator, monkeypatch):
    """A device for which copies always block, as Apple's."""
    monkeypatch.setitem(device.KINDS, pretend_device.NAME, device.Kind(tile=64))
    return accelerator


@pytest.fixture
def course(monkeypatch):
    """What happens: a tile is computed, a result is waited for."""
    noted = []
    compute, wait = Interpolation.__call__, pretend_device.Event.synchronize

    def noting_compute(self, batch):
        noted.append("compute")
        return compute(self, batch)

    def noting_wait(self):
        noted.append("wait")
        wait(self)

    monkeypatch.setattr(Interpolation, "__call__", noting_compute)
    monkeypatch.setattr(pretend_device.Event, "synchronize", noting_wait)
    return noted


# ── to the device and back ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [(60, 70), (4, 20, 20)], ids=["tiles", "planes"])
def test_the_next_tile_is_computed_while_one_comes_back(accelerator, course, shape):
    nearest, planes = Interpolation("nearest", 2), counts(shape)

    found = sr.upscale(planes, nearest, tile=40)

    n = course.count("compute")
    assert n >= 4
    assert course == ["compute", *["compute", "wait"] * (n - 1), "wait"]
    assert accelerator.n_copied_back == n
    assert accelerator.n_reads == 0
    np.testing.assert_array_equal(found, sr.upscale(planes, nearest, device="cpu"))


@pytest.mark.usefixtures("accelerator")
def test_one_region_at_a_time_is_under_way_where_it_could_be_lost(course):
    stack, nearest = Stack.from_array(PLANES), Interpolation("nearest", 2)
    regions = [Region.whole(index, stack.plane_shape) for index in stack.indices()]
    plan = make_plan(stack, nearest, UpscaleSettings(tile=128))

    list(region_steps(stack, nearest, plan, regions, is_one_at_a_time=True))

    assert course == ["compute", "wait"] * 2


def test_apple_s_gpu_is_never_asked_for_copies_that_do_not_block(apple):
    found = sr.upscale(PLANES, tiny_fast())

    # Without pinned memory, the pretend device would have refused one.
    assert apple.n_pinned == 0
    assert apple.n_reads == apple.n_copied_back > 0
    cpu = sr.upscale(PLANES, tiny_fast(), device="cpu")
    np.testing.assert_allclose(found.astype(int), cpu, atol=1)


# ── precision ───────────────────────────────────────────────────────────────────────


def test_float32_is_not_rounded(accelerator):
    exact = sr.upscale(PLANES, tiny_fast(), dtype="float32", device="cpu")
    accelerator.rounds = True

    found = sr.upscale(PLANES, tiny_fast(), dtype="float32")

    assert np.abs(found - exact).max() < 1e-5 * np.ptp(exact)
    convolution = torch.nn.Conv2d(1, 1, 3).to(THERE)
    image = torch.rand(1, 1, 9, 9).to(THERE)
    with full_precision():
        promised = convolution(image)
    assert (convolution(image) - promised).abs().max() > 0  # as the user left it


def settings():
    found = {"products": torch.backends.cuda.matmul.allow_tf32}
    if hasattr(torch.backends.cudnn, "conv"):
        found["convolutions"] = torch.backends.cudnn.conv.fp32_precision
        found["processor"] = torch.backends.mkldnn.matmul.fp32_precision
    return found


def test_runs_that_overlap_do_not_undo_each_other():
    before, inside, go_on = settings(), Event(), Event()

    def first():
        with full_precision():
            inside.set()
            go_on.wait()

    thread = Thread(target=first)
    thread.start()
    inside.wait()
    with full_precision():
        exact = settings()
        go_on.set()
        thread.join()
        assert settings() == exact != before
    assert settings() == before


@pytest.fixture
def restored():
    """PyTorch's settings as they were, whatever a test sets."""
    kept = [*device._roundings()]
    yield
    for place, name, value in kept:
        setattr(place, name, value)


def _old():
    torch.backends.cudnn.allow_tf32 = False


def _new():
    torch.backends.cudnn.conv.fp32_precision = "ieee"


def _products():
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    torch.backends.cuda.matmul.fp32_precision = "tf32"


@pytest.mark.skipif(
    not hasattr(torch.backends.cudnn, "conv"), reason="of newer versions of PyTorch"
)
@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("sets", [[_old], [_new], [_products], [_old, _new, _products]])
def test_what_a_user_has_set_is_kept_and_no_run_fails(sets):
    """PyTorch refuses to read the old setting where the new ones differ."""
    exact = sr.upscale(PLANES, tiny_fast(), dtype="float32", device="cpu")
    for one in sets:
        one()
    before = [value for _, _, value in device._roundings()]

    found = sr.upscale(PLANES, tiny_fast(), dtype="float32", device="cpu")

    np.testing.assert_array_equal(found, exact)
    assert [value for _, _, value in device._roundings()] == before


def loud():
    """A model whose features half precision cannot hold, though its results are."""
    model = tiny_fast()
    weights = dict(model.weights["faithful"])
    for name, by in (("body.0.first", 1e8), ("body.0.second", 1e-8)):
        weights[f"{name}.weight"] = weights[f"{name}.weight"] * by
    weights["body.0.first.bias"] = weights["body.0.first.bias"] * 1e8
    return SRModel(model.card, {**model.weights, "faithful": weights})


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
def test_what_half_precision_cannot_hold_is_computed_again(
    accelerator, tmp_path, caplog, suffix
):
    source = write_stack(tmp_path / "a.ome.tif", PLANES, "zyx")
    output = tmp_path / f"r{suffix}"

    with caplog.at_level(logging.WARNING, "napari_sr"):
        done = sr.upscale_file(source, output, loud(), precision="float16")

    assert accelerator.n_copied_back > done.n_repeated > 0
    assert f"tiles computed again in float32: {done.n_repeated}" in describe_result(
        done
    )
    (warning,) = [one for one in caplog.messages if "float16" in one]
    assert "recomputed in float32" in warning
    exact = sr.upscale(PLANES, loud(), device="cpu")
    assert np.abs(read_stack(output).astype(int) - exact).max() <= 1


def test_half_precision_that_holds_is_not_repeated(accelerator, tmp_path):
    source = write_stack(tmp_path / "a.ome.tif", PLANES, "zyx")

    done = sr.upscale_file(
        source, tmp_path / "r.ome.tif", tiny_fast(), precision="float16"
    )

    assert done.n_repeated == 0
    assert "again" not in describe_result(done)
    exact = sr.upscale(PLANES, tiny_fast(), device="cpu")
    apart = np.abs(read_stack(tmp_path / "r.ome.tif").astype(int) - exact).max()
    assert 0 < apart < 0.01 * np.ptp(PLANES)
    assert accelerator.n_copied_back > 0


# ── memory ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "refusal",
    [
        None,
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `create`"),
        RuntimeError("Unable to find an engine to execute this computation"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
    ],
    ids=["torch", "cuBLAS", "cuDNN", "Apple"],
)
def test_tiles_become_smaller_where_memory_runs_out(accelerator, caplog, refusal):
    stack, model = Stack.from_array(PLANES), tiny_fast().to(THERE)
    plan = make_plan(stack, model, UpscaleSettings(noise=0))
    list(upscale_steps(stack, model, plan))
    accelerator.n_bytes = int(0.6 * accelerator.n_reserved)  # of what that took
    accelerator.refusal = refusal

    with caplog.at_level(logging.WARNING, "napari_sr"):
        steps = list(upscale_steps(stack, model, plan))

    assert "Out of memory with tiles of" in caplog.text
    assert steps[-1].tile < plan.tile
    found = np.stack([step.plane for step in steps if step.plane is not None])
    assert accelerator.n_emptied > 0
    accelerator.n_bytes = 2**33
    expected = sr.upscale(PLANES, tiny_fast(), device="cpu", noise=0)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_memory_that_torch_has_cached_is_free(accelerator):
    there = torch.zeros(2**20, device=THERE)
    assert free_memory(THERE) == accelerator.n_bytes - 4 * 2**20

    del there

    assert accelerator.n_reserved == 4 * 2**20
    assert free_memory(THERE) == accelerator.n_bytes
    release_memory(THERE)
    assert accelerator.n_reserved == 0
