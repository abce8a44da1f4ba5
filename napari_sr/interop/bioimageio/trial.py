"""Whether an ONNX network is harmless to begin: found out in a process of its own.

This module alone limits the resources of a third-party network. A few bytes of ONNX can
ask for any memory and for a loop without end, and ONNX Runtime obeys within the process
that loads it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import prod
from multiprocessing import spawn
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psutil

from napari_sr.cards.model_card import ModelFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_BYTES, _BYTES_PER_PIXEL, _COPIES = 2**31, 2048, 4
"""Of memory: in any case, for each pixel, and copies of the weights."""
_MOST_SECONDS, _SECONDS_PER_PIXEL = 20.0, 1e-4
"""Of work by one core."""
_LOOK_EVERY = 0.02
_RAISED = 3
"""The exit code of a trial in which something was raised, as it will be again here."""
_CODE = f"""
import json, sys
try:
    import numpy, onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    network = onnxruntime.InferenceSession(
        open("network", "rb").read(), options, providers=["CPUExecutionProvider"]
    )
    (taken,) = network.get_inputs()
    types = {{"tensor(float16)": "float16", "tensor(double)": "float64"}}
    for shape in json.loads(sys.argv[1]):
        image = numpy.full(shape, 0.5, types.get(taken.type, "float32"))
        network.run(None, {{taken.name: image}})
except Exception:
    sys.exit({_RAISED})
"""


def try_onnx(name: str, content: bytes, shapes: Sequence[Sequence[int]]) -> None:
    """Load a network and run it elsewhere, and end that when it takes too much.

    Parameters
    ----------
    name
        Of its package, for the error.
    content
        The ONNX file.
    shapes
        Of the arrays that it is given.

    Raises
    ------
    ModelFormatError
        If it takes more memory or time than such networks do, or ends the process.
        What it raises is not reported: it will be raised here as well.
    """
    n_pixels = max(map(prod, shapes))
    places = os.pathsep.join(place for place in sys.path if place)
    with TemporaryDirectory() as folder:
        Path(folder, "network").write_bytes(content)
        process = subprocess.Popen(
            [_python(), "-c", _CODE, json.dumps(shapes)],
            cwd=folder,  # weights in other files are looked for here
            env={**os.environ, "PYTHONPATH": places},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            excess = _watched(
                process,
                _MOST_BYTES + _BYTES_PER_PIXEL * n_pixels + _COPIES * len(content),
                _MOST_SECONDS + _SECONDS_PER_PIXEL * n_pixels,
            )
        finally:
            process.kill()
            process.wait()
    if excess or process.returncode not in (0, _RAISED):
        excess = excess or f"ended its process (exit code {process.returncode})"
        raise ModelFormatError(
            f"{name}: its network {excess} when it was tried on images of at most "
            f"{n_pixels} px in a process of its own. Choose another model."
        )


def _watched(
    process: subprocess.Popen[bytes], most_bytes: int, most_seconds: float
) -> str:
    """Wait for the end of a process; say what it took too much of before."""
    seen = psutil.Process(process.pid)
    while True:
        try:
            process.wait(_LOOK_EVERY)
        except subprocess.TimeoutExpired:
            pass
        else:
            return ""
        try:
            n_bytes, times = seen.memory_info().rss, seen.cpu_times()
        except psutil.Error:  # it is over
            continue
        if n_bytes > most_bytes:
            return f"took more than {most_bytes / 2**30:.1f} GiB of memory"
        if times.user + times.system > most_seconds:
            return f"took more than {most_seconds:.0f} s"


def _python() -> str:
    """Give Python itself, also where another program began this process."""
    found = spawn.get_executable()
    return os.fsdecode(found) if found else sys.executable
