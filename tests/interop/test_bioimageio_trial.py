"""An ONNX network that takes all memory or never ends is refused before it does."""

from __future__ import annotations

import hashlib

import numpy as np
import psutil
import pytest
from packages import description, onnx_package, package

import napari_sr as sr
from napari_sr.cards.model_card import ModelFormatError
from napari_sr.interop.bioimageio import trial

pytest.importorskip("bioimageio.spec", reason="napari-sr[bioimageio] is not installed")
onnx = pytest.importorskip("onnx", reason="napari-sr[onnx] is not installed")
pytest.importorskip("onnxruntime", reason="napari-sr[bioimageio] is not installed")


def doubled(path, nodes, functions=(), **held):
    """Write a package that doubles an image once `nodes` have made an `x` of it."""
    from onnx import TensorProto, helper, numpy_helper

    rest = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Add", ["image", "m"], ["a"]),
        helper.make_node("Resize", ["a", "", "twice"], ["fine"], mode="nearest"),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, None, None])
        for name in ("image", "fine")
    ]
    held["twice"] = np.array([1, 1, 2, 2], np.float32)
    weights = [numpy_helper.from_array(np.array(v), n) for n, v in held.items()]
    graph = helper.make_graph(nodes + rest, "g", values[:1], values[1:], weights)
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("ours", 1)]
    made = helper.make_model(
        graph, opset_imports=opset, ir_version=9, functions=functions
    )
    content = made.SerializeToString()
    digest = hashlib.sha256(content).hexdigest()
    weights = {"onnx": {"source": "w.onnx", "sha256": digest, "opset_version": 18}}
    return package(path, {"w.onnx": content}, description(weights))


def loop():
    """Count to 10¹²."""
    from onnx import TensorProto, helper

    kinds = {"i": TensorProto.INT64, "go": TensorProto.BOOL, "v": TensorProto.FLOAT}
    takes = [helper.make_tensor_value_info(n, kind, []) for n, kind in kinds.items()]
    gives = [
        helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, []),
    ]
    steps = [
        helper.make_node("Identity", ["go"], ["go_on"]),
        helper.make_node("Add", ["v", "v"], ["w"]),
    ]
    body = helper.make_graph(steps, "body", takes, gives)
    return helper.make_node("Loop", ["n", "true", "zero"], ["x"], body=body)


def functions():
    """Write thirty functions, each of which calls the one before twice."""
    from onnx import helper

    opset, made = [helper.make_opsetid("", 18), helper.make_opsetid("ours", 1)], []
    steps = [helper.make_node("Identity", ["a"], ["b"])]
    for name in map(str, range(30)):
        made.append(helper.make_function("ours", name, ["a"], ["b"], steps, opset))
        steps = [
            helper.make_node(name, [one], [other], domain="ours")
            for one, other in ("ac", "cb")
        ]
    return made


def node(kind, *names, **attributes):
    return onnx.helper.make_node(kind, names, ["x"], **attributes)


HUGE = {
    "a constant": (lambda: [node("ConstantOfShape", "n")], [2**15, 2**15]),
    "an image many times": (lambda: [node("Expand", "image", "n")], [10**5, 1, 1, 1]),
    "a wide border": (
        lambda: [node("Pad", "image", "n")], [0, 0, 0, 0, 0, 0, 2**15, 2**15],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HUGE)
def test_what_takes_memory_is_refused_and_takes_it_from_another_process(
    tmp_path, monkeypatch, what
):
    monkeypatch.setattr(trial, "_MOST_BYTES", 2**29)
    nodes, shape = HUGE[what]
    path = doubled(tmp_path / "a.zip", nodes(), n=np.array(shape, np.int64))
    before = psutil.Process().memory_info().rss

    with pytest.raises(ModelFormatError, match=r"took more than 0\.5 GiB of memory"):
        sr.load_model(path)

    assert psutil.Process().memory_info().rss - before < 2**28


def test_what_does_not_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "_MOST_SECONDS", 1.0)
    paths = [
        doubled(
            tmp_path / "a.zip",
            [loop()],
            n=np.int64(10**12),
            true=np.bool_(True),
            zero=np.float32(0),
        ),
        doubled(tmp_path / "b.zip", [node("29", "image", domain="ours")], functions()),
    ]
    for path in paths:
        with pytest.raises(ModelFormatError, match="took more than 2 s"):
            sr.load_model(path)


def test_what_ends_its_process_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "_CODE", "import os; os.abort()")

    with pytest.raises(ModelFormatError, match="ended its process"):
        sr.load_model(onnx_package(tmp_path / "a.zip"))


def test_what_takes_little_is_tried_and_read(tmp_path):
    path = doubled(tmp_path / "a.zip", [node("Expand", "image", "n")],
                   n=np.array([100, 1, 1, 1], np.int64))  # fmt: skip
    assert sr.load_model(path).factor == 2
