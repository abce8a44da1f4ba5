"""Which device computes, in which precision, and how much fits.

This module alone asks the machine. It knows the ways in which memory runs out and how
large a tile may be; what is done about it is the flow's business.
"""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import torch

from napari_sr.settings import SHARE_OF_MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFERRED_TILE = {"cpu": 768, "cuda": 1024, "mps": 768}
"""Beyond these sides, without halo, a larger tile saves little halo and takes long."""
_STEP = 16


def choose_device(wanted: str = "auto") -> torch.device:
    """Find the device to compute on.

    Parameters
    ----------
    wanted
        `auto` takes a CUDA GPU, then Apple's, then the CPU; otherwise a torch device
        name such as `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises
    ------
    ValueError
        If that device is not there, with what to do about it.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = _device_named(wanted)
    if device.type == "cuda" and not torch.cuda.is_available():
        cause = (
            "this torch was built without CUDA; install torch from pytorch.org for "
            "your CUDA version"
            if torch.version.cuda is None
            else "no CUDA GPU answers; check the driver with nvidia-smi"
        )
        raise ValueError(f"Device {wanted!r} was asked for, but {cause}, or use 'cpu'.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"Device {wanted!r} was asked for, but there are "
            f"{torch.cuda.device_count()} CUDA GPUs, counted from 0."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError("Device 'mps' was asked for, but is not here. Use 'cpu'.")
    return device


def _device_named(name: str) -> torch.device:
    unknown = f"There is no kind of device {name!r}. Use auto, cpu, cuda or mps."
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(unknown) from error
    if device.type not in PREFERRED_TILE:
        raise ValueError(unknown)
    return device


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """Find the number format of a network.

    Parameters
    ----------
    wanted
        `auto`, `float32`, `float16` or `bfloat16`. `auto` is float32: exact, and the
        fastest measured on CPUs.
    device
        Where the network runs.

    Raises
    ------
    ValueError
        If float16 is asked of a CPU, which computes it slowly and inexactly.
    """
    if wanted == "float16" and device.type == "cpu":
        raise ValueError(
            "Precision float16 needs a GPU, but the device is the CPU. Use float32."
        )
    dtype: torch.dtype = getattr(torch, "float32" if wanted == "auto" else wanted)
    return dtype


def free_memory(device: torch.device) -> int:
    """Bytes that can still be taken on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free: int = psutil.virtual_memory().available
    limit = os.environ.get("NAPARI_SR_MEMORY")  # for machines shared by quota
    return min(free, _bytes_of(limit)) if limit else free


def _bytes_of(limit: str) -> int:
    try:
        size = float(limit)
    except ValueError:
        size = math.nan
    if not 0 <= size < math.inf:
        raise ValueError(f"NAPARI_SR_MEMORY is a number of GiB, got {limit!r}.")
    return int(size * 2**30)


def describe_device(wanted: str = "auto") -> str:
    """Say in a few words what a device is and how much of its memory is free.

    Parameters
    ----------
    wanted
        As for `choose_device`.

    Returns
    -------
    str
        Such as "CPU, 5.2 GB free", or "not here" where there is no such device.
    """
    try:
        device = choose_device(wanted)
    except ValueError:
        return "not here"
    kinds = {"cpu": "CPU", "mps": "Apple GPU"}
    name = kinds.get(device.type) or torch.cuda.get_device_name(device)
    return f"{name}, {free_memory(device) / 2**30:.1f} GB free"


def choose_tile(
    bytes_per_pixel: int,
    halo: int,
    device: torch.device,
    share_of_memory: float = SHARE_OF_MEMORY,
) -> int:
    """Find the side of a tile that fits, halo included.

    Parameters
    ----------
    bytes_per_pixel
        Working memory of the upscaler per recorded pixel.
    halo
        Recorded pixels that it needs around a tile.
    device
        Where it runs.
    share_of_memory
        Of the memory that is free there, how much a tile may take.

    Returns
    -------
    int
        A multiple of 16, never too small to hold anything beside its halo.
    """
    budget = share_of_memory * free_memory(device)
    side = int((budget / bytes_per_pixel) ** 0.5)
    preferred = PREFERRED_TILE.get(device.type, 256) + 2 * halo
    return max(smallest_tile(halo), min(side, preferred) // _STEP * _STEP)


def smallest_tile(halo: int) -> int:
    """Side of the smallest tile that leaves some 16 pixels beside its halo."""
    return -(-(2 * halo + _STEP) // _STEP) * _STEP


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception means that memory ran out, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # The CPU's allocator and Apple's report it as a plain RuntimeError.
    words = ("not enough memory", "out of memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(
        word in str(error).lower() for word in words
    )


@contextmanager
def leave_a_core() -> Iterator[None]:
    """Compute with one thread less for a while: a viewer wants to draw meanwhile.

    Holds for what the calling thread computes.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before - 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def release_memory(device: torch.device) -> None:
    """Give cached blocks back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
