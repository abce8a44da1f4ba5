"""Devices: which one, how precise, how much fits, and how memory runs out."""

from __future__ import annotations

import psutil
import pytest
import torch

from napari_sr.device import (
    KINDS,
    SHARE_OF_MEMORY,
    choose_device,
    choose_precision,
    choose_tile,
    describe_device,
    free_memory,
    is_out_of_memory,
    leave_a_core,
    release_memory,
    smallest_tile,
)
from napari_sr.image.tiling import plan_tiles

CPU = torch.device("cpu")
GIB = 2**30


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine with nothing but a CPU, whatever the one that runs the tests has."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def memory(monkeypatch):
    """Say how many GiB there are."""
    return lambda gib: monkeypatch.setenv("NAPARI_SR_MEMORY", str(gib))


# ── which device ────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("wanted", ["auto", "cpu"])
def test_without_a_gpu_the_cpu_computes(wanted):
    assert choose_device(wanted) == CPU


@pytest.mark.usefixtures("two_gpus")
def test_with_a_gpu_it_computes():
    assert choose_device() == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert choose_device("cpu") == CPU


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("built_for", "cure"),
    [(None, "install torch from pytorch.org"), ("12.4", "check the driver")],
    ids=["torch without CUDA", "no driver"],
)
def test_cuda_without_cuda_is_refused_with_its_cause(monkeypatch, built_for, cure):
    monkeypatch.setattr(torch.version, "cuda", built_for)

    with pytest.raises(ValueError, match=f"'cuda' was asked for.*{cure}.*'cpu'"):
        choose_device("cuda")


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(
        ValueError, match=r"'cuda:2'.*there are 2 CUDA GPUs, counted from"
    ):
        choose_device("cuda:2")


@pytest.mark.usefixtures("no_gpu")
def test_apple_s_gpu_is_refused_elsewhere():
    with pytest.raises(ValueError, match="'mps' was asked for, but is not available"):
        choose_device("mps")


@pytest.mark.parametrize("wanted", ["gpu", "", "cuda:x", "meta", "xpu"])
def test_other_kinds_of_device_are_refused(wanted):
    with pytest.raises(ValueError, match=f"Unknown device '{wanted}'.*auto, cpu"):
        choose_device(wanted)


# ── which precision ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wanted", "dtype"),
    [
        ("auto", torch.float32),
        ("float32", torch.float32),
        ("bfloat16", torch.bfloat16),
    ],
)
def test_precision_of_a_cpu(wanted, dtype):
    assert choose_precision(wanted, CPU) == dtype


def test_float16_is_for_gpus():
    assert choose_precision("float16", torch.device("cuda")) == torch.float16
    with pytest.raises(ValueError, match=r"float16 needs a GPU.*Use float32"):
        choose_precision("float16", CPU)


# ── how much fits ───────────────────────────────────────────────────────────────────


def test_a_quota_counts_before_what_the_machine_has(memory):
    memory(0.5)
    assert free_memory(CPU) == GIB // 2

    memory(10**6)
    assert free_memory(CPU) <= psutil.virtual_memory().total


@pytest.mark.parametrize("quota", ["much", "-1", "nan", "inf"])
def test_a_quota_that_is_no_number_is_refused(memory, quota):
    memory(quota)
    with pytest.raises(ValueError, match=f"NAPARI_SR_MEMORY is a number .*'{quota}'"):
        free_memory(CPU)


@pytest.mark.parametrize("gib", [0, 0.01, 0.05, 0.2])
@pytest.mark.parametrize("halo", [2, 12, 40])
def test_a_tile_fits_its_share_of_the_memory_or_is_the_smallest(memory, gib, halo):
    memory(gib)
    bytes_per_pixel = 3000

    tile = choose_tile(bytes_per_pixel, halo, CPU)

    assert tile % 16 == 0
    assert tile >= smallest_tile(halo)
    if tile > smallest_tile(halo):
        assert tile**2 * bytes_per_pixel <= SHARE_OF_MEMORY * gib * GIB


def test_more_memory_gives_larger_tiles_up_to_a_useful_size(memory):
    sides = []
    for gib in (0.001, 0.02, 0.05, 0.2):
        memory(gib)
        sides.append(choose_tile(1000, 12, CPU))

    assert sides == sorted(set(sides))
    # with next to nothing per pixel, any machine could do more than is useful
    assert choose_tile(1, 12, CPU) == (KINDS["cpu"].tile + 24) // 16 * 16


def test_a_larger_share_of_memory_gives_a_larger_tile(memory):
    memory(0.25)
    sides = [choose_tile(3_000, 12, CPU, share) for share in (0.05, 0.25, 0.9)]

    assert sides == sorted(set(sides))
    assert sides[1] == choose_tile(3_000, 12, CPU)
    assert all(
        side**2 * 3_000 <= share * 0.25 * GIB
        for side, share in zip(sides, (0.05, 0.25, 0.9), strict=True)
    )


@pytest.mark.parametrize("halo", [0, 1, 7, 8, 12, 40])
def test_the_smallest_tile_leaves_pixels_beside_its_halo(halo):
    side = smallest_tile(halo)

    assert 16 <= side - 2 * halo < 32
    assert plan_tiles((100, 100), side, halo)


# ── how memory runs out ─────────────────────────────────────────────────────────────


def test_a_refusal_of_the_cpu_s_allocator_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)

    assert is_out_of_memory(caught.value)


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
    RuntimeError("Invalid buffer size: 12.00 GiB"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("Unable to find an engine to execute this computation"),
]
SOMETHING_ELSE = [
    RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
    ValueError("out of memory"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=repr)
def test_ways_in_which_memory_runs_out(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", SOMETHING_ELSE, ids=repr)
def test_other_errors_are_not_taken_for_it(error):
    assert not is_out_of_memory(error)


def test_there_is_nothing_to_give_back_on_a_cpu():
    release_memory(CPU)


def test_a_device_is_described_with_what_is_free(monkeypatch):
    monkeypatch.setenv("NAPARI_SR_MEMORY", "0.5")

    assert describe_device("cpu") == "CPU, 0.5 GB free"


def test_a_device_that_is_missing_is_not_here():
    assert describe_device("cuda:99") == "not here"


# ── room for others ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("before", "during"), [(4, 3), (2, 1), (1, 1)])
def test_a_core_is_left_for_a_while_and_taken_back(before, during):
    usual = torch.get_num_threads()
    torch.set_num_threads(before)
    try:
        with leave_a_core():
            assert torch.get_num_threads() == during
        assert torch.get_num_threads() == before
    finally:
        torch.set_num_threads(usual)
