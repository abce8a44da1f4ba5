"""Weights of a package of bioimage.io → something that computes.

This module alone knows which kinds of weights can be run, and which of them are code
that is only run when somebody asks for it.
"""

from __future__ import annotations

import hashlib
import io
import types
import warnings
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from napari_sr.cards.model_card import ModelFormatError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from napari_sr.interop.bioimageio.files import Package

ONNX = "onnx"
_CODE = ("torchscript", "pytorch_state_dict")
"""In the order in which they are taken."""
_WORDS = {
    "onnx": "ONNX",
    "torchscript": "TorchScript",
    "pytorch_state_dict": "PyTorch with source code",
}


@dataclass
class Runner:
    """Weights, and what computes with them once it is needed; both travel to workers.

    Calling it maps a float32 tensor with the described axes to another one.
    """

    kind: str
    content: bytes
    source: bytes = b""
    """Code that makes the network, of weights that are a state dict."""
    module: str = ""
    """From which a network is imported, where there is no source."""
    function: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    _run: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)

    def __call__(self, image: Tensor) -> Tensor:
        """Compute, on the device of the image where the kind of weights can."""
        if self._run is None:
            self._run = _STARTED_BY[self.kind](self)
        return self._run(image)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what cannot travel."""
        return {**self.__dict__, "_run": None}

    @property
    def words(self) -> str:
        """What kind of weights they are, for people."""
        return _WORDS[self.kind]


def choose_weights(package: Package, weights: Any, *, trust: bool) -> Runner:  # noqa: ANN401
    """Take weights that can be run here, those without code first.

    Parameters
    ----------
    package
        Their files are read and compared with the digests in the description.
    weights
        As `bioimageio.spec` describes them.
    trust
        Whether code of the package may be run.

    Raises
    ------
    ModelFormatError
        If there are none, files are missing or changed, or only code is there and it
        is not trusted.
    """
    available = {kind: path for kind, path in weights if path is not None}
    kinds = [kind for kind in (ONNX, *_CODE) if kind in available]
    if not kinds:
        raise ModelFormatError(
            f"{package.name}: has weights of {', '.join(available)}; expected "
            f"{', '.join(_WORDS.values())}. Choose another model."
        )
    kind = kinds[0]
    if kind in _CODE and not trust:
        raise ModelFormatError(
            f"{package.name}: its weights are {_WORDS[kind]}, which is code and was "
            "not run. If you trust its authors, use `napari-sr models import "
            "--trust`, or in Python load_model(…, trust=True)."
        )
    entry = available[kind]
    if getattr(entry, "external_data", None) is not None:
        raise ModelFormatError(
            f"{package.name}: its ONNX network is in two files, expected one. Save it "
            "without external data."
        )
    runner = Runner(kind, _checked(package, entry))
    if kind == "pytorch_state_dict":
        maker = entry.architecture
        runner.function, runner.arguments = str(maker.callable), dict(maker.kwargs)
        runner.module = getattr(maker, "import_from", "")
        if not runner.module:
            runner.source = _checked(package, maker)
    return runner


def _checked(package: Package, entry: Any) -> bytes:  # noqa: ANN401
    """Read a file and compare it with its digest, where there is one."""
    content = package.read(str(entry.source))
    digest = hashlib.sha256(content).hexdigest()
    if entry.sha256 is not None and str(entry.sha256) != digest:
        raise ModelFormatError(
            f"{package.name}: {str(entry.source)[:80]!r} is not the file that its "
            "description was written for (SHA-256 differs). Get the package again."
        )
    return content


def _start_onnx(weights: Runner) -> Callable[[Tensor], Tensor]:
    """Compute with ONNX Runtime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    session = onnxruntime.InferenceSession(
        weights.content, options, providers=["CPUExecutionProvider"]
    )
    (taken,), (given, *_) = session.get_inputs(), session.get_outputs()
    dtype = {"tensor(float16)": "float16", "tensor(double)": "float64"}.get(
        taken.type, "float32"
    )

    def run(image: Tensor) -> Tensor:
        counts = image.cpu().numpy().astype(dtype)
        try:
            (result,) = session.run([given.name], {taken.name: counts})
        except Exception as error:  # its own types say nothing to who catches them
            message = " ".join(str(error).split())[:200]
            is_memory = "allocate memory" in message
            raise (MemoryError if is_memory else RuntimeError)(message) from error
        return torch.from_numpy(result.astype("float32")).to(image.device)

    return run


def _start_torchscript(weights: Runner) -> Callable[[Tensor], Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is of yesterday
        module = torch.jit.load(  # type: ignore[no-untyped-call]
            io.BytesIO(weights.content), map_location="cpu"
        )
    return _computing(module)


def _start_pytorch(weights: Runner) -> Callable[[Tensor], Tensor]:
    """Run the source code of a network, and give it its weights."""
    held = torch.load(io.BytesIO(weights.content), "cpu", weights_only=True)
    if weights.source:
        room = types.ModuleType("network_of_a_package")
        code = compile(weights.source, room.__name__, "exec", dont_inherit=True)
        exec(code, room.__dict__)
    else:
        room = import_module(weights.module)
    module = getattr(room, weights.function)(**weights.arguments)
    module.load_state_dict(held)
    return _computing(module)


def _computing(module: torch.nn.Module) -> Callable[[Tensor], Tensor]:
    module.eval()  # called where no gradients are kept

    def run(image: Tensor) -> Tensor:
        result = module.to(image.device)(image)
        if isinstance(result, list | tuple):
            (result,) = result
        fine: Tensor = result.float()
        return fine

    return run


_STARTED_BY = {
    "onnx": _start_onnx,
    "torchscript": _start_torchscript,
    "pytorch_state_dict": _start_pytorch,
}
