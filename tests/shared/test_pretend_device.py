"""The pretend accelerator behaves as a real one would, where tests rely on it."""

from __future__ import annotations

import copy

import numpy as np
import pretend_device
import pytest
import torch
from torch import nn

THERE = "pretend"
pytestmark = pytest.mark.skipif(
    bool(pretend_device.WHY_NOT), reason="not possible here"
)


def image(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_it_is_gone_when_no_test_asks_for_it():
    assert not torch.get_device_module(THERE).is_available()
    with pytest.raises(NotImplementedError):
        torch.ones(3).to(THERE)


@pytest.mark.parametrize(
    "mix",
    [
        lambda here, there: there + here,
        lambda here, there: there.add_(here),
        lambda here, there: torch.cat([here, there]),
        lambda here, there: here[there > 0],
        lambda here, there: torch.where(there > 0, there, here),
        lambda _, there: torch.rand_like(there, generator=torch.Generator()),
    ],
)
@pytest.mark.parametrize("keeps_gradients", [True, False])
def test_tensors_of_two_devices_do_not_mix(accelerator, mix, keeps_gradients):
    here = image(4, 4)

    with torch.inference_mode(not keeps_gradients):
        there = here.to(THERE)
        with pytest.raises(RuntimeError, match="device"):
            mix(here, there)
        assert torch.equal((there + there * 2.0).cpu(), here * 3)


@pytest.mark.usefixtures("accelerator")
def test_numpy_cannot_read_it():
    with pytest.raises(TypeError, match=r"Use Tensor\.cpu"):
        np.asarray(image(3).to(THERE))


@pytest.mark.parametrize(
    "make",
    [
        lambda device: torch.zeros(3, device=device),
        lambda device: torch.full((3,), 2.0, device=device),
        lambda device: torch.arange(3, device=device),
        lambda device: torch.linspace(0, 1, 3, device=device),
        lambda device: torch.tensor([1.0, 2.0], device=device),
        lambda device: torch.as_tensor(2.0, device=device),
        lambda device: torch.fft.fftfreq(4, device=device),
    ],
)
def test_what_is_made_there_is_there(accelerator, make):
    found = make(torch.device(THERE))

    assert found.device.type == THERE
    assert accelerator.n_copied_back == 0
    assert torch.equal(found.cpu(), make("cpu"))


def test_copies_and_reads_are_counted(accelerator):
    there = image(3).to(THERE)
    total = there.sum()
    assert (accelerator.n_copied_to, accelerator.n_reads) == (1, 0)

    float(total)
    there.cpu()
    there.tolist()

    assert accelerator.n_reads == 3
    assert accelerator.n_copied_back == 2


def test_a_copy_that_does_not_block_needs_pinned_memory(accelerator):
    here = image(3)
    with pytest.raises(RuntimeError, match="needs pinned memory"):
        here.to(THERE, non_blocking=True)

    there = here.pin_memory().to(THERE, non_blocking=True)

    assert torch.equal(there.cpu(), here)
    assert not here.is_pinned()


def test_what_is_not_waited_for_is_not_there(accelerator):
    there = image(3).to(THERE)
    event = torch.get_device_module(THERE).Event()

    here = there.to("cpu", non_blocking=True)
    event.record()
    assert here.isnan().all()
    event.synchronize()

    assert torch.equal(here, image(3))
    assert accelerator.n_reads == 0


def test_memory_is_counted_kept_and_given_back(accelerator):
    device = torch.get_device_module(THERE)
    there = image(1024).to(THERE)
    part = there[5:]
    assert device.memory_allocated() == 4096

    del there
    assert device.memory_allocated() == 4096  # a part of it holds all of it
    del part
    assert (device.memory_allocated(), device.memory_reserved()) == (0, 4096)
    assert device.mem_get_info()[0] == accelerator.n_bytes - 4096
    device.empty_cache()
    assert device.memory_reserved() == 0


@pytest.mark.parametrize("refusal", [None, RuntimeError("cuDNN has none")])
def test_memory_runs_out(accelerator, refusal):
    accelerator.n_bytes, accelerator.refusal = 5000, refusal
    there = image(1024).to(THERE)

    expected = torch.OutOfMemoryError if refusal is None else RuntimeError
    with pytest.raises(expected, match="out of memory" if refusal is None else "none"):
        there + 1
    there += 1


@pytest.mark.usefixtures("accelerator")
def test_gradients_are_those_of_the_cpu():
    gradients = []
    for device in ("cpu", THERE):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = nn.Sequential(
                nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.PReLU(), nn.PixelShuffle(2)
            )
        network = copy.deepcopy(network.to(device, memory_format=torch.channels_last))
        network(image(2, 1, 9, 9).to(device)).square().mean().backward()
        gradients.append([one.grad.cpu() for one in network.parameters()])

    for here, there in zip(*gradients, strict=True):
        assert torch.equal(here, there)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_computes_in_half_and_keeps_the_weights(accelerator, dtype):
    network = nn.Conv2d(2, 3, 3).to(THERE)
    with torch.autocast(THERE, dtype):
        found = network(image(1, 2, 8, 8).to(THERE))
        loss = nn.functional.mse_loss(found, torch.zeros_like(found))
    loss.backward()

    assert (found.dtype, loss.dtype) == (dtype, torch.float32)
    assert network.weight.grad.dtype == torch.float32


def test_convolutions_round_only_where_they_may(accelerator):
    convolution = nn.Conv2d(2, 3, 3)
    exact = convolution(image(1, 2, 8, 8))
    there = copy.deepcopy(convolution).to(THERE)
    assert torch.equal(there(image(1, 2, 8, 8).to(THERE)).cpu(), exact)

    accelerator.rounds = True
    apart = (there(image(1, 2, 8, 8).to(THERE)).cpu() - exact).abs().max()

    assert 1e-6 < apart < 1e-2


@pytest.mark.usefixtures("accelerator")
def test_some_channels_of_a_channels_last_map_are_refused():
    there = image(1, 2, 8, 8).to(THERE).contiguous(memory_format=torch.channels_last)
    convolution = nn.Conv2d(1, 1, 3).to(THERE)

    with pytest.raises(RuntimeError, match="some channels of a channels-last"):
        convolution(there[:, :1])
    convolution(there[:, :1].contiguous()[..., 2:, 1:])


@pytest.mark.usefixtures("accelerator")
def test_a_shape_is_not_changed_in_place():
    with pytest.raises(NotImplementedError, match="no shape in place"):
        image(2, 3).to(THERE).t_()


def test_one_after_another_begins_anew(accelerator):
    image(3).to(THERE)
    assert accelerator.n_copied_to == 1
    accelerator.reset()
    assert pretend_device.MACHINE.n_copied_to == 0
