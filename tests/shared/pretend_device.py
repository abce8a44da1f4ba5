"""A pretend accelerator, for tests on a machine that has none.

Its tensors say that they are on the device `pretend:0`; what they hold lies in CPU
tensors, which compute. So results are those of the CPU, bit for bit, and everything in
which a device differs from a CPU can be looked at:

- tensors of two devices do not mix, and NumPy cannot read what is on the device;
- copies in both directions, and reads for which the host has to wait, are counted;
- a copy that does not block needs pinned memory, and what it brings to the host is not
  a number until it has been waited for;
- memory has a size. It is cached as PyTorch caches it, and it can run out, with any
  error that a real device would raise;
- half precision is offered through autocast, and convolutions can be told to round
  float32 as TF32 does, unless PyTorch is told not to;
- a convolution of some channels of a channels-last tensor is refused: Apple's GPUs
  have computed that wrong without a word.

It is built on what PyTorch offers for backends outside of it: the key `PrivateUse1`
with its device module and hooks, tensor subclasses with `__torch_dispatch__`, kernels
from `torch.library`. A name of a device cannot be taken back, and PyTorch counts its
devices only once in a process. So `register` is called before the first test, and gives
a device that is not available; `installed` makes it available for a while.

Where it does not follow PyTorch:

- nothing is asynchronous but what is said above, and there are no streams;
- a tensor of the CPU without dimensions mixes with those of the device everywhere,
  on a real one only in arithmetic;
- autocast knows convolutions, products and losses, not all that CUDA's list holds;
- a tensor that is saved is saved as one of the CPU: files do not say where it was;
- memory does not run out while gradients are computed;
- operations that change the shape of a tensor in place are refused;
- there is one device of its kind, and it cannot be beside a real accelerator, since
  PyTorch knows one accelerator at a time.
"""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from weakref import WeakValueDictionary

import torch
from torch.utils import _pytree as pytree

try:
    from torch.utils.backend_registration import (
        _DummyBackendModule,
        _setup_privateuseone_for_python_backend,
    )
except ImportError:  # older versions of PyTorch want a backend in C++
    WHY_NOT = "this version of PyTorch takes no device that is written in Python"
else:
    WHY_NOT = "PyTorch knows one accelerator at a time, and there is a real one"
    WHY_NOT *= torch.accelerator.is_available()
"""Why there can be no pretend device; empty if there can."""

NAME = "pretend"
DEVICE = torch.device("cpu")
"""Becomes the device once it is registered."""
GIB = 2**30


class Machine:
    """The device: what has happened on it, and how it behaves."""

    def __init__(self):
        self.is_installed = False
        self.reset()

    def reset(self):
        """Forget what has happened, and behave as usual."""
        self.n_copied_to, self.n_copied_back = 0, 0
        """Copies to the device, and back to the host."""
        self.n_pinned = 0
        """Copies into memory of the host that the device can reach."""
        self.n_reads = 0
        """Values and copies for which the host waited."""
        self.n_emptied = 0
        """Times that cached memory was given back."""
        self.n_operations = 0
        self.n_bytes = 8 * GIB
        """Of its memory."""
        self.refusal = None
        """An error to raise when memory runs out; PyTorch's own if `None`."""
        self.rounds = False
        """Whether convolutions round as TF32 does, where PyTorch lets them."""
        self._taken, self._pinned = WeakValueDictionary(), WeakValueDictionary()
        self._reserved = 0
        self._arriving = []

    # ── memory ──────────────────────────────────────────────────────────────────

    @property
    def n_allocated(self):
        """Bytes of the tensors that are there."""
        return sum(storage.nbytes() for storage in list(self._taken.values()))

    @property
    def n_reserved(self):
        """Bytes that PyTorch holds: those of tensors, and of some that were there."""
        self._reserved = max(self._reserved, self.n_allocated)
        return self._reserved

    def empty_cache(self):
        """Give back what is held and not used."""
        self.n_emptied += 1
        self._reserved = self.n_allocated

    def take(self, data):
        """Count the memory of a tensor, if it is not there already."""
        storage = data.untyped_storage()
        n_bytes = storage.nbytes()
        if not n_bytes or storage.data_ptr() in self._taken:
            return
        if self.n_allocated + n_bytes > self.n_bytes and not _is_going_backward():
            error = self.refusal or torch.OutOfMemoryError("Pretend out of memory.")
            raise type(error)(*error.args)  # anew: an old one holds what it had seen
        self._taken[storage.data_ptr()] = storage
        self._reserved = max(self._reserved, self.n_allocated)

    # ── copies ──────────────────────────────────────────────────────────────────

    def bring(self, source, *, is_blocking):
        """Count a copy to the device."""
        self.n_copied_to += 1
        if not is_blocking and not self.is_pinned(source):
            raise RuntimeError("A copy that does not block needs pinned memory.")

    def fetch(self, data, place, *, is_blocking):
        """Copy to the host, now or when it is waited for."""
        self.n_copied_back += 1
        if is_blocking:
            self.synchronize()
            self.n_reads += 1
            place.copy_(data)
            return
        if not self.is_pinned(place):
            raise RuntimeError("A copy that does not block needs pinned memory.")
        place.fill_(math.nan if place.is_floating_point() else 0)
        self._arriving.append((data.clone(), place))

    def synchronize(self):
        """Wait for everything."""
        arriving, self._arriving = self._arriving, []
        for data, place in arriving:
            with torch.inference_mode(place.is_inference()):
                place.copy_(data)

    def pin(self, tensor):
        """Copy to memory of the host that the device can reach."""
        self.n_pinned += 1
        pinned = tensor.clone()
        storage = pinned.untyped_storage()
        self._pinned[storage.data_ptr()] = storage
        return pinned

    def is_pinned(self, tensor):
        """Say whether the device can reach a tensor of the host."""
        return tensor.untyped_storage().data_ptr() in self._pinned


def _is_going_backward():
    """Tell whether this is a thread of autograd, where no exception is survived."""
    return isinstance(threading.current_thread(), threading._DummyThread)


MACHINE = Machine()


class PretendTensor(torch.Tensor):
    """A tensor on the device."""

    @staticmethod
    def __new__(cls, data):
        with torch.inference_mode(data.is_inference()):  # a view may be of before
            return torch.Tensor._make_wrapper_subclass(
                cls,
                data.size(),
                strides=data.stride(),
                storage_offset=data.storage_offset(),
                dtype=data.dtype,
                device=DEVICE,
            )

    def __init__(self, data):
        MACHINE.take(data)
        self.data_on_cpu = data

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _compute(operation, args, kwargs or {})

    def numpy(self, **_):
        raise TypeError(
            f"can't convert {DEVICE} device type tensor to numpy. Use Tensor.cpu() to "
            f"copy the tensor to host memory first."
        )

    def __array__(self, *_):
        return self.numpy()

    def tolist(self):
        return self.cpu().tolist()

    def __reduce_ex__(self, protocol):
        return (
            self.detach()
            .cpu()
            .requires_grad_(self.requires_grad)
            .__reduce_ex__(protocol)
        )

    def __repr__(self, **_):
        return f"PretendTensor({self.data_on_cpu!r})"

    def __format__(self, form):
        return format(self.item() if self.dim() == 0 else repr(self), form)


# ── operations ──────────────────────────────────────────────────────────────────────

_TAKES_BOTH = {
    "aten::copy_",
    "aten::_to_copy",
    "aten::_has_compatible_shallow_copy_type",
}
_MADE_WHOLE = (
    "arange",
    "arange.start",
    "arange.start_step",
    "fft_fftfreq",
    "linspace",
    "eye",
    "eye.m",
    "randperm",
)
"""What PyTorch would make empty, and then resize."""
_TAKES_INDICES = {
    "aten::index",
    "aten::index_put",
    "aten::index_put_",
    "aten::_index_put_impl_",
}


def _named(name):
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), overload or "default")


def _kernel(operation):
    return lambda *args, **kwargs: _compute(operation, args, kwargs)


def _compute(operation, args, kwargs):
    """Do on CPU tensors what was asked of those of the device."""
    if operation._can_decompose():  # where no gradients are kept, parts come whole
        return operation.decompose(*args, **kwargs)
    MACHINE.n_operations += 1
    name = operation._schema.name
    given = pytree.tree_leaves((args, kwargs))
    _check_devices(name, args, given)
    if name == "aten::_has_compatible_shallow_copy_type":
        return all(isinstance(one, PretendTensor) for one in args)
    if name == "aten::copy_":
        return _copied(*args, **kwargs)
    if name == "aten::_to_copy":
        return _moved(*args, **kwargs)
    if name in ("aten::_local_scalar_dense", "aten::nonzero") or _is_masked(
        name, given
    ):
        MACHINE.n_reads += 1
    if name in ("aten::convolution", "aten::convolution_backward"):
        args = _before_convolution(args, given)
    bare_args, bare_kwargs = pytree.tree_map(_bare, (args, kwargs))
    found = operation(*bare_args, **bare_kwargs)
    written = _written(operation, args, kwargs)
    return pytree.tree_map(lambda one: _wrapped(one, written), found)


def _check_devices(name, args, given):
    tensors = [one for one in given if isinstance(one, torch.Tensor)]
    here = [one for one in tensors if isinstance(one, PretendTensor)]
    there = [one for one in tensors if not isinstance(one, PretendTensor) and one.dim()]
    if name in _TAKES_BOTH:
        return
    if here and name in _TAKES_INDICES and isinstance(args[0], PretendTensor):
        there = [one for one in there if one.is_floating_point()]
    if here and there:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two "
            f"devices, {DEVICE} and cpu! ({name})"
        )
    if any(isinstance(one, torch.Generator) for one in given):
        raise RuntimeError(
            f"Expected a {NAME!r} device type for generator but found 'cpu' ({name})"
        )


def _is_masked(name, given):
    """Tell whether a mask says how large the result is, for which the host waits."""
    masks = [one for one in given if isinstance(one, PretendTensor)]
    return name in _TAKES_INDICES and any(one.dtype == torch.bool for one in masks)


def _bare(value):
    if isinstance(value, PretendTensor):
        return value.data_on_cpu
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _written(operation, args, kwargs):
    """List the tensors that an operation writes to, by what they hold."""
    named = zip(operation._schema.arguments, args, strict=False)
    rest = ((one, kwargs.get(one.name)) for one in operation._schema.arguments)
    return {
        id(one.data_on_cpu): one
        for argument, value in (*named, *rest)
        if argument.alias_info is not None and argument.alias_info.is_write
        for one in pytree.tree_leaves(value)
        if isinstance(one, PretendTensor)
    }


def _wrapped(value, written):
    if not isinstance(value, torch.Tensor) or isinstance(value, PretendTensor):
        return value
    if (same := written.get(id(value))) is not None:
        if same.shape != value.shape:
            raise NotImplementedError("The pretend device changes no shape in place.")
        return same
    return PretendTensor(value)


def _copied(place, source, non_blocking=False):
    """Copy into a tensor, between devices or on one."""
    is_here, was_here = (isinstance(one, PretendTensor) for one in (place, source))
    if was_here and not is_here:
        MACHINE.fetch(source.data_on_cpu, place, is_blocking=not non_blocking)
        return place
    if is_here and not was_here and source.dim():
        MACHINE.bring(source, is_blocking=not non_blocking)
    place.data_on_cpu.copy_(_bare(source))
    return place


def _moved(source, *, device=None, non_blocking=False, pin_memory=None, **how):
    """Copy to a device, to another type or layout."""
    del pin_memory
    if device is None or torch.device(device).type == NAME:
        return PretendTensor(torch.ops.aten._to_copy(_bare(source), **how))
    data = torch.ops.aten._to_copy(source.data_on_cpu, **how)
    place = MACHINE.pin(data) if non_blocking else torch.empty_like(data)
    MACHINE.fetch(data, place, is_blocking=not non_blocking)
    return place


# ── precision ───────────────────────────────────────────────────────────────────────

_IN_HALF = ("conv2d", "conv_transpose2d", "linear", "matmul", "mm", "bmm", "addmm")
_IN_FULL = (
    "l1_loss",
    "mse_loss",
    "softplus",
    "binary_cross_entropy_with_logits",
    "pow",
)
_BITS_ROUNDED = 13


def _before_convolution(args, given):
    """Refuse what Apple's GPUs have got wrong; round as TF32 does."""
    for one in given:
        if isinstance(one, PretendTensor) and one.dim() == 4 and _lacks_channels(one):
            raise RuntimeError("A convolution of some channels of a channels-last map.")
    if not (MACHINE.rounds and _may_round()):
        return args
    return pytree.tree_map(_rounded, args)


def _lacks_channels(image):
    """Tell whether pixels lie further apart than the channels there are."""
    n_channels, width = image.shape[1], image.shape[3]
    across = image.stride(3)
    return width > 1 and across != 1 and across > n_channels and image.stride(1) == 1


def _may_round():
    cudnn = torch.backends.cudnn
    if hasattr(cudnn, "conv"):
        return cudnn.conv.fp32_precision == "tf32"
    return cudnn.allow_tf32


def _rounded(value):
    """Keep 10 bits after the point of float32, as TF32 does."""
    if not isinstance(value, PretendTensor) or value.dtype != torch.float32:
        return value
    bits = value.data_on_cpu.contiguous().view(torch.int32)
    kept = (bits + (1 << (_BITS_ROUNDED - 1))) >> _BITS_ROUNDED << _BITS_ROUNDED
    same = torch.empty_like(value.data_on_cpu)
    return PretendTensor(same.copy_(kept.view(torch.float32)))


def _in_precision(name, precision):
    """Make an autocast kernel: tensors of the device come in one precision."""
    operation = getattr(torch.ops.aten, name)
    autocast = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def cast(value):
        is_float = isinstance(value, PretendTensor) and value.is_floating_point()
        return value.to(precision()) if is_float else value

    def kernel(*args, **kwargs):
        with torch._C._ExcludeDispatchKeyGuard(autocast):
            args, kwargs = pytree.tree_map(cast, (args, kwargs))
            return operation(*args, **kwargs)

    return kernel


# ── the device ──────────────────────────────────────────────────────────────────────


class Event:
    """A point to wait for."""

    def record(self, *_):
        """Do nothing: whatever has been asked for is under way."""

    def synchronize(self):
        """Wait for all."""
        MACHINE.synchronize()


def register():
    """Make the name known to this process, before anything is computed in it."""
    global DEVICE

    class Module(_DummyBackendModule):
        """What `torch.pretend` offers."""

        Event = Event
        is_available = staticmethod(lambda: MACHINE.is_installed)
        device_count = staticmethod(lambda: int(MACHINE.is_installed))
        get_amp_supported_dtype = staticmethod(lambda: [torch.float16, torch.bfloat16])
        get_device_name = staticmethod(lambda _=None: "Pretend accelerator")
        mem_get_info = staticmethod(
            lambda _=None: (MACHINE.n_bytes - MACHINE.n_reserved, MACHINE.n_bytes)
        )
        memory_reserved = staticmethod(lambda _=None: MACHINE.n_reserved)
        memory_allocated = staticmethod(lambda _=None: MACHINE.n_allocated)
        empty_cache = staticmethod(lambda: MACHINE.empty_cache())
        synchronize = staticmethod(lambda _=None: MACHINE.synchronize())
        current_stream = staticmethod(lambda _=None: None)

    class Hooks(torch._C._acc.PrivateUse1Hooks):
        def is_available(self):
            return MACHINE.is_installed

        def has_primary_context(self, _device):
            return MACHINE.is_installed

        def is_built(self):
            return True

    _setup_privateuseone_for_python_backend(NAME, Module(), Hooks())
    DEVICE = torch.device(NAME, 0)


@contextmanager
def installed():
    """Have the device for a while.

    Yields
    ------
    Machine
        As new.
    """
    anything, known = (torch.library.Library(name, "IMPL") for name in ("_", "aten"))
    anything.fallback(
        lambda operation, *args, **kwargs: _compute(operation, args, kwargs),
        "PrivateUse1",
    )
    anything.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    for name in _MADE_WHOLE:
        known.impl(name, _kernel(_named(name)), "PrivateUse1")
    # `torch.tensor(…, device=…)` fills it where subclasses are not asked.
    known.impl("copy_", _copied, "PrivateUse1")
    known.impl("_pin_memory", lambda tensor, _=None: MACHINE.pin(tensor), "CPU")
    known.impl("is_pinned", lambda tensor, _=None: MACHINE.is_pinned(tensor), "CPU")
    precisions = {
        **dict.fromkeys(_IN_HALF, lambda: torch.get_autocast_dtype(NAME)),
        **dict.fromkeys(_IN_FULL, lambda: torch.float32),
    }
    for name, precision in precisions.items():
        known.impl(name, _in_precision(name, precision), "AutocastPrivateUse1")
    MACHINE.reset()
    MACHINE.is_installed = True
    try:
        yield MACHINE
    finally:
        MACHINE.is_installed = False
        MACHINE.reset()
        for library in (known, anything):
            library._destroy()
