"""The model file: save, load, the same output; nothing damaged is ever used."""

from __future__ import annotations

import json
import struct

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as runs
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_models import tiny_fast, tiny_srresnet

from napari_sr.cards.model_card import (
    ModelFormatError,
    as_header,
    parse_card,
    read_card,
)
from napari_sr.models.file import digest_of, digests_of
from napari_sr.models.sr_model import SRModel, read_model, save_model

MAKERS = {"fast": tiny_fast, "srresnet": tiny_srresnet}


def random_batch(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def batch_for(model, side=12):
    return random_batch(2, model.network.in_channels, side, side + 3)


def with_two_ends(**card):
    """A model whose textured end is another network than its faithful one."""
    faithful, textured = tiny_fast(seed=1), tiny_fast(seed=2)
    parts = {**faithful.weights, "textured": textured.weights["faithful"]}
    return SRModel(faithful.card.model_copy(update=card), parts)


def with_card(model, **changes):
    return SRModel(model.card.model_copy(update=changes), model.weights)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tiny.safetensors"


# ── save → load → the same ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("factor", [2, 3, 8])
def test_a_model_that_is_read_gives_the_same_output_bit_for_bit(path, kind, factor):
    model = MAKERS[kind](factor)

    again = read_model(save_model(model, path))

    assert torch.equal(again(batch_for(model)), model(batch_for(model)))
    assert again.digest == model.digest


@pytest.mark.parametrize("dial", [0, 0.5, 1])
def test_at_any_dial_too(path, dial):
    model = with_two_ends()
    again = read_model(save_model(model, path)).at_dial(dial)

    assert torch.equal(again(batch_for(model)), model.at_dial(dial)(batch_for(model)))


def test_the_estimator_is_saved_as_well(path):
    model = tiny_fast()
    plane = random_batch(32, 32)

    again = read_model(save_model(model, path))

    assert again.noise_estimator.estimate([plane]) == (
        model.noise_estimator.estimate([plane])
    )


def test_a_model_that_was_read_can_be_saved_again(path, tmp_path):
    save_model(with_two_ends(), path)

    copy = save_model(read_model(path), tmp_path / "deep" / "copy.safetensors")

    assert read_card(copy) == read_card(path)
    assert read_model(copy).digest == read_model(path).digest


def test_saving_leaves_nothing_beside_the_file(path):
    for _ in range(2):
        save_model(tiny_fast(), path)

    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_failed_save_leaves_the_old_file(path, monkeypatch):
    before = save_model(tiny_fast(), path).read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))

    with pytest.raises(OSError, match="full"):
        save_model(tiny_fast(seed=3), path)

    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["model.pt", "model", "safetensors"])
def test_another_ending_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=rf"ends in \.safetensors, got '{name}'"):
        save_model(tiny_fast(), tmp_path / name)


# ── which model this is ─────────────────────────────────────────────────────────────


def test_the_digest_tells_models_apart():
    model = tiny_fast()

    assert model.digest == tiny_fast().digest
    assert model.digest != tiny_fast(seed=7).digest
    assert model.digest != with_card(model, output_scale=2.0).digest
    assert model.digest == model.to("cpu").digest


def test_words_and_figures_do_not_make_another_model():
    model = tiny_fast()
    assert model.digest == with_card(model, description="Better told.").digest
    assert model.digest == with_card(model, is_better=True).digest


def test_new_weights_under_an_old_card_are_another_model(path):
    old = read_model(save_model(tiny_fast(), path))

    fine_tuned = SRModel(old.card, tiny_fast(seed=7).weights)

    assert fine_tuned.digest != old.digest
    assert fine_tuned.digest == tiny_fast(seed=7).digest


DIGESTS = [
    pytest.param({"a": torch.zeros(2)}, {"b": torch.zeros(2)}, id="name"),
    pytest.param({"a": torch.zeros(2)}, {"a": torch.zeros(1, 2)}, id="shape"),
    pytest.param(
        {"a": torch.zeros(2)}, {"a": torch.zeros(2, dtype=torch.int32)}, id="type"
    ),
    pytest.param({"a": torch.zeros(2)}, {"a": -torch.zeros(2)}, id="sign of zero"),
    pytest.param({"a": torch.tensor(1)}, {"a": torch.tensor(2)}, id="scalar"),
]


@pytest.mark.parametrize(("one", "other"), DIGESTS)
def test_the_digest_of_weights_sees_everything(one, other):
    assert digest_of(one) == digest_of({name: t.clone() for name, t in one.items()})
    assert digest_of(one) != digest_of(other)


def test_the_digest_does_not_depend_on_the_layout_in_memory():
    weight = random_batch(4, 3, 3, 3)
    channels_last = weight.contiguous(memory_format=torch.channels_last)

    assert digest_of({"w": weight}) == digest_of({"w": channels_last})


# ── what is not needed is not read ──────────────────────────────────────────────────


def data_start(content):
    return 8 + struct.unpack("<Q", content[:8])[0]


def spans_of(content):
    """Give the bytes of each tensor, as (start, end) in the file."""
    start = data_start(content)
    header = json.loads(content[8:start])
    header.pop("__metadata__")
    return {
        name: tuple(start + offset for offset in entry["data_offsets"])
        for name, entry in header.items()
    }


def spoil_part(path, part):
    """Overwrite all tensors of one part with garbage."""
    content = bytearray(path.read_bytes())
    for name, (start, end) in spans_of(content).items():
        if name.startswith(f"{part}."):
            content[start:end] = b"\xa5" * (end - start)
    path.write_bytes(content)


def test_a_spoiled_textured_end_is_met_only_when_it_is_asked_for(path):
    model = with_two_ends()
    save_model(model, path)
    spoil_part(path, "textured")

    again = read_model(path)

    assert torch.equal(again(batch_for(model)), model(batch_for(model)))
    assert again.digest == model.digest
    assert "textured" in again.weights
    for dial in (0.5, 1):
        with pytest.raises(ModelFormatError, match="'textured' part are not those"):
            _ = again.at_dial(dial).network


def test_the_digests_of_a_file_are_known_without_reading_it(path):
    save_model(with_two_ends(), path)
    weights = read_model(path).weights
    for part in ("textured", "discriminator"):
        spoil_part(path, part)

    assert list(weights) == list(digests_of(weights))
    assert len(weights) == 3
    with pytest.raises(KeyError):
        weights["discriminator"]


@pytest.mark.parametrize("part", ["faithful", "noise_estimator"])
def test_what_every_use_needs_is_checked_at_once(path, part):
    save_model(tiny_fast(), path)
    spoil_part(path, part)

    with pytest.raises(ModelFormatError, match=f"'{part}' part are not those"):
        read_model(path)


def test_a_file_that_vanished_says_so(path):
    again = read_model(save_model(with_two_ends(), path))
    path.unlink()

    with pytest.raises(ModelFormatError, match="cannot be read any more"):
        _ = again.at_dial(1).network


def test_a_file_that_is_overwritten_does_not_change_a_model_in_use(path):
    model = with_two_ends()
    again = read_model(save_model(model, path))
    expected = {
        end: again.weights[end]["head.weight"].clone()
        for end in again.weights
        if end != "noise_estimator"
    }
    path.write_bytes(b"\xa5" * path.stat().st_size)

    for end, weight in expected.items():
        assert torch.equal(again.weights[end]["head.weight"], weight)


# ── tampering ───────────────────────────────────────────────────────────────────────


def assert_refused(path):
    """Hold law 7: one sentence, on one line."""
    with pytest.raises(ModelFormatError) as refusal:
        read_model(path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A saved model, its bytes, and a place for a damaged copy."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    model = tiny_fast(name="tampered")
    return model, save_model(model, path).read_bytes(), path


many = runs(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@many
@given(data=st.data(), bits=st.integers(1, 255))
def test_any_changed_byte_of_the_weights_is_refused(original, data, bits):
    _, content, path = original
    place = data.draw(st.integers(data_start(content), len(content) - 1))
    damaged = bytearray(content)
    damaged[place] ^= bits
    path.write_bytes(damaged)

    assert_refused(path)


@many
@given(data=st.data(), bits=st.integers(1, 255))
def test_any_changed_byte_of_the_header_is_refused_or_means_the_same(
    original, data, bits
):
    # behind its JSON the header is filled up with spaces, which mean nothing
    model, content, path = original
    place = data.draw(st.integers(0, data_start(content) - 1))
    damaged = bytearray(content)
    damaged[place] ^= bits
    path.write_bytes(damaged)

    filling = not content[place : data_start(content)].strip()
    if filling and damaged[place] in b"\t\r\n":
        assert read_model(path).digest == model.digest
    else:
        assert_refused(path)


@many
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_off_anywhere_is_refused(original, share):
    _, content, path = original
    path.write_bytes(content[: int(share * len(content))])

    assert_refused(path)


def test_a_file_with_something_behind_it_is_refused(original):
    _, content, path = original
    path.write_bytes(content + b"\0")

    assert_refused(path)


def rewrite(path, change_tensors=lambda _: None, *, redigest=False, **changes):
    """Write a model file anew with other tensors or another card."""
    card, tensors = read_card(path), load_file(path)
    change_tensors(tensors)
    if redigest:  # as somebody would who knows the format
        digests = {
            part: digest_of(
                {
                    name.removeprefix(f"{part}."): tensor
                    for name, tensor in tensors.items()
                    if name.startswith(f"{part}.")
                }
            )
            for part in card.digests
        }
        changes = {"digests": digests, **changes}
    save_file(tensors, path, as_header(card.model_copy(update=changes)))


OTHER_TENSORS = [
    pytest.param(lambda t: t.pop("faithful.tail.bias"), id="missing"),
    pytest.param(lambda t: t.update({"faithful.new": torch.ones(2)}), id="surplus"),
    pytest.param(
        lambda t: t.update({"faithful.tail.bias": torch.ones(3)}), id="misshapen"
    ),
    pytest.param(
        lambda t: t.update(
            {"noise_estimator.mean": t["noise_estimator.mean"][:3].clone()}
        ),
        id="misshapen estimator",
    ),
]


@pytest.mark.parametrize("redigest", [False, True], ids=["digest kept", "digest new"])
@pytest.mark.parametrize("change", OTHER_TENSORS)
def test_other_tensors_are_refused(path, change, redigest):
    save_model(tiny_fast(), path)
    rewrite(path, change, redigest=redigest)

    assert_refused(path)


OTHER_PARTS = [
    pytest.param(lambda t: t.update({"extra.w": torch.ones(1)}), {}, id="unlisted"),
    pytest.param(lambda t: t.update({"loose": torch.ones(1)}), {}, id="of no part"),
    pytest.param(lambda t: None, {"digests": {}}, id="nothing listed"),
    pytest.param(
        lambda t: [t.pop(name) for name in list(t) if name.startswith("noise")],
        {},
        id="listed, but not there",
    ),
    pytest.param(
        lambda t: t.update({"extra.w": torch.ones(1)}),
        {"digests": {"faithful": "0", "noise_estimator": "0", "extra": "0"}},
        id="unknown",
    ),
]


@pytest.mark.parametrize(("change", "card"), OTHER_PARTS)
def test_parts_that_the_card_does_not_list_are_refused(path, change, card):
    save_model(tiny_fast(), path)
    rewrite(path, change, **card)

    with pytest.raises(
        ModelFormatError, match="parts are not those listed in its card"
    ):
        read_model(path)


OTHER_CARDS = [
    pytest.param({"architecture": "unet"}, "Unknown architecture", id="architecture"),
    pytest.param({"factor": 5}, "2, 3, 4 or 8", id="factor"),
    pytest.param({"factor": 3}, "do not fit its card", id="factor of another"),
    pytest.param({"arguments": {"depth": 1}}, "does not take", id="argument"),
    pytest.param({"arguments": {"channels": 0}}, "numbers from 1", id="no channels"),
    pytest.param({"arguments": {}}, "says a halo of 6 px", id="default size"),
    pytest.param(
        {"arguments": {"channels": 9, "n_blocks": 2}}, "do not fit", id="other size"
    ),
    pytest.param({"arguments": {"n_blocks": 10**5}}, "states n_blocks 1", id="blocks"),
    pytest.param({"arguments": {"channels": 3000}}, "states channels 3", id="channels"),
    pytest.param({"halo": 1}, "says a halo of 1", id="halo"),
    pytest.param({"recommended_dial": 0.5}, "no textured end", id="dial"),
    pytest.param({"schema_version": 2}, "version 2", id="version"),
]


def test_a_network_is_not_built_larger_than_its_weights(path):
    save_model(tiny_fast(), path)
    wide = {"channels": 3000, "n_blocks": 1}
    rewrite(path, lambda t: t.update({"faithful.tail.bias": torch.ones(3000)}),
            redigest=True, arguments=wide)  # fmt: skip

    with pytest.raises(ModelFormatError, match="more parameters than its weights"):
        read_model(path)


def test_a_side_beside_which_there_is_nothing_vouches_for_no_number(path):
    save_model(tiny_fast(), path)
    long = {"channels": 4, "n_blocks": 10**9}
    rewrite(path, lambda t: t.update({"faithful.tail.bias": torch.ones(0, 10**9)}),
            redigest=True, arguments=long)  # fmt: skip

    with pytest.raises(ModelFormatError, match="states n_blocks 1000000000"):
        read_model(path)


def test_a_card_that_is_nested_without_end_is_refused():
    with pytest.raises(ModelFormatError, match="version None"):
        parse_card("deep", '{"name": ' + "[" * 100_000 + "]" * 100_000 + "}")


@pytest.mark.parametrize(("card", "why"), OTHER_CARDS)
def test_a_card_that_does_not_fit_is_refused(path, card, why):
    save_model(tiny_fast(), path)
    rewrite(path, **card)

    assert_refused(path)
    with pytest.raises(ModelFormatError, match=why):
        read_model(path)


def test_no_file_and_a_folder_are_refused(path):
    assert_refused(path)
    assert_refused(path.parent)


def test_a_pickle_is_not_even_opened(path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("something in a file was executed",))

    torch.save({"faithful.weight": Bomb()}, path)

    assert_refused(path)
