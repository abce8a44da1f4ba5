"""Packages of bioimage.io: their own pixels, normalised once per stack; never code."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import socket
import zipfile

import numpy as np
import packages
import pytest
import torch
from packages import REACH, code_package, description, network, onnx_package, package
from tiny_models import tiny_fast, tiny_srresnet

import napari_sr as sr
from napari_sr.cards.model_card import ModelFormatError
from napari_sr.catalogue.exporting import export_model
from napari_sr.cli import main
from napari_sr.image.tiling import pad_plane
from napari_sr.interop.bioimageio.processing import Linear
from napari_sr.interop.recognizing import is_foreign

pytest.importorskip("bioimageio.spec", reason="napari-sr[bioimageio] is not installed")
pytest.importorskip("onnx", reason="napari-sr[onnx] is not installed")
pytest.importorskip("onnxruntime", reason="napari-sr[bioimageio] is not installed")

PROCESSING = {
    "scale_range": {"min_percentile": 1, "max_percentile": 99},
    "zero_mean_unit_variance": {},
    "scale_linear": {"gain": 1 / 4000, "offset": -0.5},
}
FIXED = [{"id": "scale_linear", "kwargs": PROCESSING["scale_linear"]}]


def stack():
    """Planes of very unlike brightness, so that a range of each would show."""
    random = np.random.default_rng(0)
    bright = np.array([1, 3]).reshape(2, 1, 1)
    return (random.uniform(100, 1000, (2, 70, 61)) * bright).astype(np.float32)


def computed(image, factor=2):
    """The network on a whole plane, continued by reflection; another way round."""
    padded = torch.from_numpy(pad_plane(image, REACH)).float()[None, None]
    fine = network(factor)(padded)[0, 0].numpy()
    return fine[factor * REACH : -factor * REACH, factor * REACH : -factor * REACH]


def space(size, scale=2.0, ids="yx"):
    return [{"type": "space", "id": i, "size": size, "scale": scale} for i in ids]


def refused(path, *words, **options):
    with pytest.raises(ModelFormatError) as refusal:
        sr.load_model(path, **options)
    said = str(refusal.value)
    assert "\n" not in said
    assert said.isprintable()
    assert len(said) < 700
    for word in words:
        assert word in said
    return said


@pytest.mark.parametrize("how", PROCESSING)
@pytest.mark.parametrize("factor", [2, 3])
def test_pixels_are_those_of_the_network_normalised_once_per_stack(
    tmp_path, how, factor
):
    steps = [{"id": how, "kwargs": PROCESSING[how]}]
    path = onnx_package(tmp_path / "a.zip", factor, input={"preprocessing": steps})
    model, low = sr.load_model(path), stack()
    assert (model.name, model.factor, model.halo, model.overlap) == (
        "a", factor, REACH, 0,
    )  # fmt: skip
    image, offset, span = packages.normalized(low.astype(float), how)
    expected = np.stack([computed(plane, factor) for plane in image])
    assert expected.std() > 0.01
    for tile in (24, 512):
        came = sr.upscale(low, model, tile=tile)
        np.testing.assert_allclose((came - offset) / span, expected, atol=2e-5)


def test_what_follows_a_measurement_is_done_pixel_by_pixel_and_undone(tmp_path):
    before = [
        {"id": "scale_linear", "kwargs": {"gain": 0.5}},
        {"id": "scale_range", "kwargs": PROCESSING["scale_range"]},
        {"id": "clip", "kwargs": {"min": 0.1, "max": 0.9}},
        {"id": "scale_linear", "kwargs": {"gain": 2.0, "offset": -1.0}},
    ]
    after = [{"id": "clip", "kwargs": {"min": -0.05, "max": 0.05}}]
    path = onnx_package(
        tmp_path / "a.zip",
        input={"preprocessing": before},
        output={"postprocessing": after},
    )
    low = stack()
    image, offset, span = packages.normalized(low.astype(float), "scale_range")
    fine = np.stack([computed(one) for one in 2 * image.clip(0.1, 0.9) - 1])
    assert (np.abs(fine) > 0.05).mean() > 0.1
    expected = (fine.clip(-0.05, 0.05) + 1) / 2
    came = sr.upscale(low, sr.load_model(path))
    np.testing.assert_allclose((came - offset) / span, expected, atol=2e-5)


def test_fixed_numbers_that_lead_away_and_back_give_counts(tmp_path):
    after = [{"id": "scale_linear", "kwargs": {"gain": 4000.0, "offset": 2000.0}}]
    both = onnx_package(
        tmp_path / "a.zip",
        input={"preprocessing": FIXED},
        output={"postprocessing": after},
    )
    one = onnx_package(tmp_path / "b.zip", input={"preprocessing": FIXED})
    came, expected = (sr.upscale(stack(), sr.load_model(p)) for p in (both, one))
    np.testing.assert_allclose(came, expected, rtol=1e-5)


@pytest.mark.parametrize("order", ["yx", "bcyx", "byxc", "xycb"])
def test_axes_may_stand_in_any_order(tmp_path, order):
    """Each is undone in the network itself, so that the pixels must be the same."""
    from onnx import helper

    by_letter = {
        "b": {"type": "batch"},
        "c": {"type": "channel", "channel_names": ["grey"]},
        **dict(zip("yx", space({"min": 8, "step": 1}), strict=True)),
    }
    fine = {
        "b": by_letter["b"], "c": by_letter["c"],
        **{i: {"type": "space", "id": i, "scale": 1.0,
               "size": {"tensor_id": "image", "axis_id": i}} for i in "yx"},
    }  # fmt: skip
    made = packages.as_onnx()
    graph = made.graph
    into = [order.index(letter) for letter in "bcyx" if letter in order]
    out = [[one for one in "bcyx" if one in order].index(letter) for letter in order]
    missing = [i for i, letter in enumerate("bcyx") if letter not in order]
    given, came = graph.node[0], graph.node[-1]
    given.input[0], came.output[0] = "moved", "whole"
    nodes = [helper.make_node("Transpose", ["image"], ["turned"], perm=into)]
    if missing:
        axes = helper.make_tensor("axes", 7, [len(missing)], missing)
        graph.initializer.append(axes)
        nodes.append(helper.make_node("Unsqueeze", ["turned", "axes"], ["moved"]))
        graph.node.append(helper.make_node("Squeeze", ["whole", "axes"], ["less"]))
    else:
        nodes.append(helper.make_node("Identity", ["turned"], ["moved"]))
        graph.node.append(helper.make_node("Identity", ["whole"], ["less"]))
    graph.node.append(helper.make_node("Transpose", ["less"], ["fine"], perm=out))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.ClearField("shape")
        for _ in order:
            value.type.tensor_type.shape.dim.add()
    weights = {"onnx": {"source": "w.onnx", "opset_version": 18}}
    described = description(
        weights,
        input={"axes": [by_letter[i] for i in order], "preprocessing": FIXED},
        output={"axes": [fine[i] for i in order]},
    )
    moved = package(tmp_path / "a.zip", {"w.onnx": made.SerializeToString()}, described)
    plain = onnx_package(tmp_path / "b.zip", input={"preprocessing": FIXED})
    results = [sr.upscale(stack(), sr.load_model(path)) for path in (moved, plain)]
    np.testing.assert_allclose(*results, rtol=1e-5)


def strided(path, size):
    file = io.BytesIO()
    torch.onnx.export(
        packages.Strided(), (torch.zeros(1, 1, 16, 16),), file, dynamo=False,
        input_names=["image"], output_names=["fine"],
        dynamic_axes={"image": [2, 3], "fine": [2, 3]},
    )  # fmt: skip
    weights = {"onnx": {"source": "w.onnx", "opset_version": 18}}
    axes = description(weights)["inputs"][0]["axes"][:2] + space(size)
    described = description(weights, input={"axes": axes, "preprocessing": FIXED})
    return package(path, {"w.onnx": file.getvalue()}, described)


@pytest.mark.filterwarnings("ignore")
def test_sizes_in_steps_are_met_by_reflection_and_the_tiles_are_blended(tmp_path):
    model = sr.load_model(strided(tmp_path / "a.zip", {"min": 16, "step": 4}))
    assert "tiles are blended" in model.description
    low = stack()[0] / 4000
    came = model(torch.from_numpy(low[None, None, :49, :51]))[0, 0].numpy()
    padded = np.pad(low[:49, :51], [(0, 3), (0, 1)], mode="reflect")
    expected = packages.Strided()(torch.from_numpy(padded)[None, None])
    np.testing.assert_allclose(came, expected[0, 0, :98, :102].numpy(), atol=1e-6)
    assert sr.upscale(stack(), model, tile=96).shape == (2, 140, 122)


def test_a_network_of_one_size_runs_in_windows(tmp_path):
    axes = description({})["inputs"][0]["axes"][:2] + space(32)
    path = onnx_package(
        tmp_path / "a.zip", side=32, input={"axes": axes, "preprocessing": FIXED}
    )
    model, low = sr.load_model(path), stack()
    assert "tiles are blended" in model.description
    image, offset, span = packages.normalized(low.astype(float), "scale_linear")
    expected = np.stack([computed(plane) for plane in image])
    for tile in (96, 512):  # it is local, so that windows agree where they overlap
        came = sr.upscale(low, model, tile=tile)
        np.testing.assert_allclose((came - offset) / span, expected, atol=2e-5)
    assert sr.upscale(low[:, :9, :7], model).shape == (2, 18, 14)


@pytest.mark.slow
def test_our_own_package_comes_back_with_the_same_pixels(tmp_path):
    pytest.importorskip("onnxscript", reason="napari-sr[onnx] is not installed")
    ours = tiny_srresnet(2)
    again = sr.load_model(export_model(ours, tmp_path / "a.zip"))
    assert again.halo >= ours.halo
    assert again.overlap == 0
    results = [
        sr.upscale(stack(), one, consistency="off", tile=128) for one in (ours, again)
    ]
    span = np.ptp(results[0])
    np.testing.assert_allclose(*results, rtol=0, atol=1e-5 * span)
    told = export_model(tiny_fast(2), tmp_path / "b.zip")
    refused(told, "image, noise", "one image in")


@pytest.mark.parametrize("kind", ["torchscript", "pytorch_state_dict"])
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_code_is_run_only_where_it_is_trusted(tmp_path, kind):
    trace = tmp_path / "ran"
    source = f"import os; os.makedirs({str(trace)!r}, exist_ok=True)\n{packages.SOURCE}"
    path = code_package(
        tmp_path / "a.zip", kind, source=source, input={"preprocessing": FIXED}
    )
    refused(path, "code", "not run", "--trust")
    assert not trace.exists()
    model = sr.load_model(path, trust=True)
    assert trace.exists() == (kind == "pytorch_state_dict")
    onnx = onnx_package(tmp_path / "b.zip", input={"preprocessing": FIXED})
    results = [sr.upscale(stack(), one) for one in (model, sr.load_model(onnx))]
    np.testing.assert_allclose(*results, rtol=1e-4, atol=0.05)
    copy = pickle.loads(pickle.dumps(model))  # as it travels to workers
    assert np.array_equal(sr.upscale(stack(), copy), results[0])


def test_no_file_can_say_that_it_is_trusted(tmp_path):
    path = code_package(tmp_path / "a.zip", "pytorch_state_dict")
    from napari_sr.catalogue.lookup import load_with_options

    with pytest.raises(ModelFormatError, match="not run"):
        load_with_options(path, None, {"trust": True})


REFUSED = {
    "two inputs": ({}, "one image in", lambda d: d["inputs"].append(
        {**d["inputs"][0], "id": "noise"})),
    "channels": ({}, "2 channels", lambda d: d["inputs"][0]["axes"][1].update(
        channel_names=["a", "b"])),
    "volumes": ({}, "z", lambda d: d["inputs"][0]["axes"].extend(
        space({"min": 8, "step": 1}, ids="z"))),
    "time": ({}, "time", lambda d: d["inputs"][0]["axes"].append(
        {"type": "time", "size": 3, "unit": "second"})),
    "not larger": ({}, "2 to 16 times", lambda d: [
        axis.update(scale=2.0) for axis in d["outputs"][0]["axes"][2:]]),
    "another factor": ({}, "a factor of 4", lambda d: [
        axis.update(scale=4.0) for axis in d["inputs"][0]["axes"][2:]]),
    "less at the border": ({}, "less 4 px", lambda d: d["outputs"][0]["axes"][2][
        "size"].update(offset=-4)),
    "huge": ({}, "2048", lambda d: d["inputs"][0]["axes"][2]["size"].update(
        min=10**9)),
    "huge steps": ({}, "2048", lambda d: d["inputs"][0]["axes"][2]["size"].update(
        step=10**9)),
    "one fixed side": ({}, "fixed", lambda d: d["inputs"][0]["axes"][2].update(
        size=32)),
    "a missing file": ({}, "not in the package", lambda d: d["weights"]["onnx"].update(
        source="other.onnx")),
    "a link": ({}, "not in the package", lambda d: d["weights"]["onnx"].update(
        source="https://example.com/w.onnx")),
    "a file elsewhere": ({}, "not", lambda d: d["weights"]["onnx"].update(
        source="../w.onnx")),
    "a file anywhere": ({}, "not", lambda d: d["weights"]["onnx"].update(
        source="/etc/hostname")),
    "a changed file": ({"digest": "0" * 64}, "SHA-256", lambda d: None),
    "another model's output": ({}, "another model", lambda d: d["inputs"][0].update(
        output_of="affable-shark")),
    "two files": ({}, "two files", lambda d: d["weights"]["onnx"].update(
        external_data={"source": "w.onnx.data"})),
    "keras": ({}, "keras_hdf5", lambda d: d.update(weights={"keras_hdf5": {
        "source": "w.h5", "tensorflow_version": "2.10"}})),
    "no weights": ({}, "not valid", lambda d: d.update(weights={})),
    "no model": ({}, "expected a model", lambda d: (d.clear(), d.update(
        type="dataset", format_version="0.3.0", name="A dataset", description="b",
        authors=[{"name": "c"}], cite=[{"text": "d", "url": "https://e.org"}],
        license="MIT"))),
    "nonsense": ({}, "not valid", lambda d: d.update(inputs=17)),
    "words": ({}, "not valid", lambda d: d.update(inputs=["a"])),
}  # fmt: skip
for _where, _steps in {
    "preprocessing": [
        {"id": "binarize", "kwargs": {"threshold": 0.5}}, {"id": "sigmoid"},
        {"id": "clip", "kwargs": {"min_percentile": 1}},
        {"id": "ensure_dtype", "kwargs": {"dtype": "uint8"}},
        {"id": "scale_linear", "kwargs": {"gain": -1.0}},
        {"id": "scale_range", "kwargs": {"axes": ["x"]}},
    ],
    "postprocessing": [
        {"id": "scale_range"}, {"id": "sigmoid"},
        {"id": "scale_mean_variance", "kwargs": {"reference_tensor": "image"}},
    ],
}.items():  # fmt: skip
    for _step in _steps:
        _tensor = "inputs" if _where == "preprocessing" else "outputs"
        REFUSED[f"{_step['id']} in {_where}"] = (
            {},
            f"{_step['id']!r}",
            lambda d, t=_tensor, w=_where, s=_step: d[t][0].update(
                {w: [{"id": "scale_linear", "kwargs": {"gain": 2.0}}, s]}
            ),
        )


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_run_here_ends_in_one_sentence(tmp_path, what, monkeypatch):
    def nothing(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", nothing)
    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    options, word, change = REFUSED[what]
    path = onnx_package(tmp_path / "a.zip", **options)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    described = json.loads(files.pop("rdf.yaml"))
    change(described)
    refused(package(path, files, described), word)


def test_a_network_that_gives_no_numbers_or_fails_is_refused(tmp_path):
    made = packages.as_onnx()
    weights = {"onnx": {"source": "w.onnx", "opset_version": 18}}
    for value, word in ((np.nan, "not numbers"), (None, "cannot be run")):
        held = packages.as_onnx()
        if value is None:
            held.graph.node[1].op_type = "NoSuchLayer"
        else:
            bias = np.full(8, value, np.float32)
            held.graph.initializer[1].raw_data = bias.tobytes()
        path = package(
            tmp_path / "a.zip",
            {"w.onnx": held.SerializeToString()},
            description(weights),
        )
        refused(path, word)
    made.graph.initializer[0].data_location = 1  # external
    made.graph.initializer[0].ClearField("raw_data")
    for location in ("w.bin", "/dev/zero", "../w.bin"):
        del made.graph.initializer[0].external_data[:]
        entry = made.graph.initializer[0].external_data.add()
        entry.key, entry.value = "location", location
        files = {"w.onnx": made.SerializeToString(), "w.bin": bytes(4096)}
        refused(package(tmp_path / "a.zip", files, description(weights)), "cannot be")


@pytest.mark.parametrize(
    "yaml",
    [
        "!!python/object/apply:os.makedirs [ran]",
        "type: model\nname: !!python/object/apply:os.makedirs [ran]",
        "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n"
        + "\n".join(f"k{i}: &k{i} [*{'c' if i == 0 else f'k{i - 1}'},"
                    f"*{'c' if i == 0 else f'k{i - 1}'}]" for i in range(40)),
        "a: &a [*a]", "[" * 5000, "{" * 5000, "- a\n- b", "", "\x00\x01", "type: model",
        "type: model\nformat_version: 99.0.0", "type: 3\nformat_version: [1]",
        "1: 2", "type: {}\nformat_version: 0.5.4", "type: model\nformat_version: x",
    ],
)  # fmt: skip
def test_a_hostile_or_wrong_description_ends_in_one_sentence(
    tmp_path, yaml, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rdf.yaml").write_text(yaml)
    refused(tmp_path / "rdf.yaml")
    refused(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("rdf.yaml", yaml)
    refused(tmp_path / "a.zip")
    assert not (tmp_path / "ran").exists()


def test_damaged_archives_end_in_one_sentence(tmp_path):
    path = onnx_package(tmp_path / "a.zip", input={"preprocessing": FIXED})
    whole, random = path.read_bytes(), np.random.default_rng(0)
    expected, n_refused = sr.upscale(stack(), sr.load_model(path)), 0
    for turn in range(120):
        hurt = bytearray(whole)
        if turn % 2:
            hurt = hurt[: random.integers(0, len(hurt))]
        else:
            for _ in range(1 + turn % 5):
                hurt[random.integers(len(hurt))] ^= 1 << random.integers(8)
        path.write_bytes(hurt)
        try:
            model = sr.load_model(path)
        except ModelFormatError as refusal:
            assert "\n" not in str(refusal)  # noqa: PT017
            n_refused += 1
        else:  # what was hurt is not read, so the pixels are the same
            assert np.array_equal(sr.upscale(stack(), model), expected)
    assert n_refused > 90


def test_a_name_that_leads_out_of_an_archive_is_refused(tmp_path):
    for name in ("../w.onnx", "/tmp/w", "a/../../w", "..\\w", "C:w", "\x1b[2J"):
        path = onnx_package(tmp_path / "a.zip")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, b"x")
        refused(path, "no package needs")
    path = onnx_package(tmp_path / "a.zip")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as a:
        a.writestr("w.onnx", b"x")
    refused(path, "a name twice")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rdf.yaml", b" " * 2**22)
    refused(path, "larger than")
    weights = {"onnx": {"source": "w.onnx", "opset_version": 18}}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rdf.yaml", json.dumps(description(weights)))
        archive.writestr("w.onnx", bytes(2**26 + 1))
    refused(path, "larger than")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_that_leads_out_of_a_folder_is_not_followed(tmp_path):
    path = onnx_package(tmp_path / "a.zip")
    folder = tmp_path / "folder"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    expected = sr.load_model(path).digest
    assert {sr.load_model(one).digest for one in (folder, folder / "rdf.yaml")} == {
        expected
    }
    assert sr.load_model(folder / "rdf.yaml").name == "folder"
    (folder / "w.onnx").rename(tmp_path / "w.onnx")
    (folder / "w.onnx").symlink_to(tmp_path / "w.onnx")
    refused(folder, "not in the package")


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_an_imported_package_is_listed_described_and_used_by_name(
    tmp_path, own_folder, capsys
):
    path = onnx_package(tmp_path / "theirs.zip", input={"preprocessing": FIXED})
    assert is_foreign(path)
    assert main(["models", "import", str(path)]) == 0
    shown = capsys.readouterr().out
    for word in ("A small network", "MIT", "gain:", "shift x:", "reach: 2", "ONNX"):
        assert word in shown
    assert main(["info", str(path)]) == 0
    assert "gain:" in capsys.readouterr().out
    assert main(["models"]) == 0
    assert "theirs" in capsys.readouterr().out
    assert main(["info", "theirs"]) == 0
    assert capsys.readouterr().out == shown
    results = [sr.upscale(stack(), one) for one in ("theirs", sr.load_model(path))]
    assert np.array_equal(*results)
    assert main(["models", "import", str(path)]) == 1
    assert "already" in capsys.readouterr().err
    installed = own_folder / "theirs.zip"
    installed.write_bytes(installed.read_bytes() + b"x")
    with pytest.raises(ModelFormatError, match="not the file that was imported"):
        sr.load_model("theirs")
    from napari_sr.catalogue.installing import remove_model
    from napari_sr.catalogue.lookup import list_entries

    (entry,) = (one for one in list_entries() if one.card.name == "theirs")
    remove_model(entry)
    assert list(own_folder.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_code_that_was_trusted_at_import_is_bound_to_that_file(
    tmp_path, own_folder, capsys
):
    path = code_package(tmp_path / "theirs.zip", "pytorch_state_dict")
    assert main(["models", "import", str(path)]) == 1
    assert "--trust" in capsys.readouterr().err
    assert not own_folder.exists() or not any(own_folder.iterdir())
    assert main(["models", "import", "--trust", str(path)]) == 0
    assert sr.load_model("theirs").factor == 2
    trace = tmp_path / "ran"
    evil = f"import os; os.makedirs({str(trace)!r})\n{packages.SOURCE}"
    code_package(own_folder / "theirs.zip", "pytorch_state_dict", source=evil)
    with pytest.raises(ModelFormatError, match="not the file that was imported"):
        sr.load_model("theirs")
    assert not trace.exists()


def test_what_another_user_trusted_in_a_shared_folder_is_not_run(
    tmp_path, own_folder, monkeypatch
):
    trace = tmp_path / "ran"
    evil = f"import os; os.makedirs({str(trace)!r}, exist_ok=True)\n{packages.SOURCE}"
    path = code_package(tmp_path / "theirs.zip", "pytorch_state_dict", source=evil)
    monkeypatch.setenv("NAPARI_SR_CONFIG", str(tmp_path / "config of another"))
    assert main(["models", "import", "--trust", str(path)]) == 0
    trace.rmdir()
    monkeypatch.setenv("NAPARI_SR_CONFIG", str(tmp_path / "ours"))

    with pytest.raises(ModelFormatError, match="code and was not run"):
        sr.load_model("theirs")
    assert not trace.exists()

    sr.load_model("theirs", trust=True)  # for once
    trace.rmdir()
    with pytest.raises(ModelFormatError, match="code and was not run"):
        sr.load_model("theirs")
    assert not trace.exists()


def test_trust_goes_with_the_model(tmp_path, own_folder, monkeypatch):
    from napari_sr.catalogue.installing import install_foreign, remove_model
    from napari_sr.catalogue.lookup import list_entries

    monkeypatch.setenv("NAPARI_SR_CONFIG", str(tmp_path / "ours"))
    path = code_package(tmp_path / "theirs.zip", "pytorch_state_dict")
    installed = install_foreign(path, trust=True)
    assert len(list((tmp_path / "ours" / "trusted").iterdir())) == 1

    remove_model(next(one for one in list_entries() if one.path == installed))

    assert not any((tmp_path / "ours" / "trusted").iterdir())


def test_a_folder_is_imported_as_an_archive_of_what_is_used(tmp_path, own_folder):
    path, folder = onnx_package(tmp_path / "a.zip"), tmp_path / "theirs"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    (folder / "private.txt").write_text("nobody asked")
    assert main(["models", "import", str(folder)]) == 0
    with zipfile.ZipFile(own_folder / "theirs.zip") as archive:
        assert sorted(archive.namelist()) == ["bioimageio.yaml", "w.onnx"]
    assert sr.load_model("theirs").digest == sr.load_model(path).digest


def test_results_of_two_packages_of_one_name_are_told_apart(tmp_path):
    from napari_sr.upscaling.provenance import identity_of

    first = sr.load_model(onnx_package(tmp_path / "a.zip"))
    other = sr.load_model(onnx_package(tmp_path / "a.zip", name="Another"))
    assert identity_of(first) != identity_of(other)
    assert hashlib.sha256().hexdigest() not in (first.digest, other.digest)


def test_linear_steps_join_and_are_undone():
    image = torch.linspace(-2, 3, 11)
    first, second = Linear(2, 1), Linear(0.5, -3)
    torch.testing.assert_close(first.then(second)(image), second(first(image)))
    torch.testing.assert_close(first.undone()(first(image)), image)
    assert Linear(low=0, high=1)(image).aminmax() == (0, 1)
