"""Which device computes, in which precision, and how much fits.

This module alone asks the machine. It knows the ways in which memory runs out and how
large a tile may be; what is done about it is the flow's business.
"""

from __future__ import annotations

import math
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import psutil
import torch

from napari_sr.settings import SHARE_OF_MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Kind:
    """What must be known of a kind of device."""

    tile: int
    """A larger one, without halo, saves little halo and takes long."""
    pins: bool = False
    """Whether copies from and to pinned memory go on beside what is computed."""


KINDS = {"cuda": Kind(1024, pins=True), "mps": Kind(768), "cpu": Kind(768)}
"""By torch's name, the first that is there is taken for "auto". A copy of Apple's that
does not block may bring what is not there yet, so it is not asked for one."""
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
        return torch.device(next(kind for kind in KINDS if _is_here(kind)))
    device = _device_named(wanted)
    if device.type == "cuda" and not torch.cuda.is_available():
        cause = (
            "this torch was built without CUDA; install torch from pytorch.org for "
            "your CUDA version"
            if torch.version.cuda is None
            else "no CUDA GPU responds; check the driver with nvidia-smi"
        )
        raise ValueError(f"Device {wanted!r} was asked for, but {cause}, or use 'cpu'.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"Device {wanted!r} was asked for, but there are "
            f"{torch.cuda.device_count()} CUDA GPUs, counted from 0."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError("Device 'mps' was asked for, but is not available. Use 'cpu'.")
    return device


def _is_here(kind: str) -> bool:
    if kind == "mps":
        return torch.backends.mps.is_available()
    is_here: bool = torch.get_device_module(kind).is_available()
    return is_here


def _device_named(name: str) -> torch.device:
    unknown = f"Unknown device {name!r}. Use auto, cpu, cuda or mps."
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(unknown) from error
    if device.type not in KINDS:
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


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to a device; where it can, beside what it computes.

    Parameters
    ----------
    tensor
        Of any shape. Pinned before, where that can be done in another thread.
    device
        Where it is to be.
    """
    if tensor.device.type != "cpu" or not pins_memory(device):
        return tensor.to(device)  # a copy that does not block needs pinned memory
    return tensor.pin_memory().to(device, non_blocking=True)


def pins_memory(device: torch.device) -> bool:
    """Tell whether copies from pinned memory go on beside what a device computes."""
    return device.type in KINDS and KINDS[device.type].pins


class Arriving:
    """A tensor on its way to the host.

    Parameters
    ----------
    tensor
        `(y, x)` float32 on its device; may still be under way there.
    """

    def __init__(self, tensor: Tensor) -> None:
        device, self._event = tensor.device, None
        if pins_memory(device):
            there: Any = torch.get_device_module(device)
            tensor = tensor.to("cpu", non_blocking=True)  # into pinned memory
            self._event = there.Event()
            self._event.record(there.current_stream(device))
        self._tensor = tensor

    def wait(self) -> NDArray[np.float32]:
        """Wait until it is there."""
        if self._event is not None:
            self._event.synchronize()
        pixels: NDArray[np.float32] = self._tensor.cpu().numpy()
        return pixels


def free_memory(device: torch.device) -> int:
    """Bytes that can still be taken on a device, those that torch has cached too."""
    there: Any = torch.get_device_module(device)
    if device.type == "mps":  # the machine's own memory, of which torch keeps some
        free = _free_memory_of_the_machine()
        cached = there.driver_allocated_memory() - there.current_allocated_memory()
    elif device.type == "cpu":
        free, cached = _free_memory_of_the_machine(), 0
    else:
        free, _ = there.mem_get_info(device)
        cached = there.memory_reserved(device) - there.memory_allocated(device)
    return int(free + cached)


def _free_memory_of_the_machine() -> int:
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
    there = torch.get_device_module(device)
    name = kinds.get(device.type) or there.get_device_name(device)
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
    preferred = KINDS[device.type].tile + 2 * halo
    return max(smallest_tile(halo), min(side, preferred) // _STEP * _STEP)


def smallest_tile(halo: int) -> int:
    """Side of the smallest tile that leaves some 16 pixels beside its halo."""
    return -(-(2 * halo + _STEP) // _STEP) * _STEP


_OUT_OF_MEMORY = (
    "out of memory",  # CUDA, ROCm, Apple
    "not enough memory",  # a processor
    "can't allocate memory",
    "invalid buffer size",  # Apple, for a single large tensor
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "unable to find an engine to execute this computation",  # cuDNN, without workspace
)
"""What libraries say that report it as a plain RuntimeError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception means that memory ran out, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in text for words in _OUT_OF_MEMORY
    )


class _FullPrecision:
    """Says to libraries that float32 is not to be rounded, while anyone needs that.

    PyTorch has one setting for all threads. Runs that need it follow each other and
    overlap in any way, so the first one sets it, and only the last one gives back what
    there was.
    """

    def __init__(self) -> None:
        self._lock, self._n_users = Lock(), 0
        self._before: list[tuple[Any, str, Any]] = []

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Compute in float32 as it is for a while, in this thread and all others.

        For results that are promised to be exact: by default cuDNN rounds what it
        convolves to 10 bits (TF32), and users may allow the same of matrix products.
        """
        with self._lock:
            if self._n_users == 0:
                self._before = [*_roundings()]
                for place, name, _ in self._before:
                    setattr(place, name, _EXACT[name])
            self._n_users += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                if self._n_users == 0:
                    for place, name, value in self._before:
                        setattr(place, name, value)


full_precision = _FullPrecision()
_EXACT = {"fp32_precision": "ieee", "allow_tf32": False}


def _roundings() -> Iterator[tuple[Any, str, Any]]:
    """List the settings that let float32 be rounded: where, their name and value.

    Newer versions of PyTorch have one for each kind of operation. An older one says the
    same of several, can be read only where they agree, and changes them when it is set:
    it goes first.
    """
    backends: Any = torch.backends
    cudnn, products = backends.cudnn, backends.cuda.matmul
    is_new = hasattr(cudnn, "conv")
    for place in (cudnn,) if is_new else (cudnn, products):
        with suppress(RuntimeError):  # where a user has set them apart
            yield place, "allow_tf32", place.allow_tf32
    if is_new:
        processor = (backends.mkldnn.conv, backends.mkldnn.matmul)
        for place in (cudnn.rnn, cudnn.conv, products, *processor):
            yield place, "fp32_precision", place.fp32_precision


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


def wait_for(device: torch.device) -> None:
    """Wait until a device has computed everything."""
    there: Any = torch.get_device_module(device)
    if device.type == "mps":  # the only one of its kind
        there.synchronize()
    elif device.type != "cpu":
        there.synchronize(device)


def release_memory(device: torch.device) -> None:
    """Give cached blocks back to the device."""
    if device.type != "cpu":
        torch.get_device_module(device).empty_cache()
