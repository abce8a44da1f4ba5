"""`napari-sr paths` and `clean`: all is listed, and only what is chosen goes."""

from __future__ import annotations

import pytest
from tiny_models import tiny_fast

from napari_sr.catalogue.stored import list_stored
from napari_sr.cli import main
from napari_sr.models.sr_model import save_model


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Give a home with one thing of every kind, and things that are not ours."""
    for name, folder in {
        "HOME": ".", "USERPROFILE": ".", "APPDATA": ".config",
        "XDG_CONFIG_HOME": ".config", "XDG_CACHE_HOME": ".cache",
        "NAPARI_SR_MODELS": "models", "NAPARI_SR_CONFIG": ".config/napari-sr",
        "TORCH_HOME": ".cache/torch",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setattr(
        "platformdirs.user_config_path", lambda name, *_: tmp_path / ".config" / name
    )
    save_model(tiny_fast(name="mine"), tmp_path / "models" / "mine.safetensors")
    for path, content in {
        "models/notes.txt": "not ours",
        "models/trainings/a/recipe.json": "{}",
        ".config/napari-sr/trusted/abc": "package",
        ".config/napari-sr/widgets.ini": "[General]",
        ".config/napari/env/napari-sr.yaml": "files: {}",
        ".config/napari/env/settings.yaml": "napari's own",
        ".cache/torch/hub/checkpoints/vgg19-dcbb9e9d.pth": "weights",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    return tmp_path


def files_in(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_all_that_is_kept_is_listed_with_its_place(home, capsys):
    assert main(["paths"]) == 0

    out = capsys.readouterr().out
    assert out.count("1 item,") == 6
    for place in ("models", "models/trainings", ".config/napari-sr/widgets.ini"):
        assert f"{home / place}\n" in out
    assert files_in(home) >= {"models/mine.safetensors", "models/notes.txt"}


def test_nothing_goes_without_yes(home, capsys):
    before = files_in(home)

    assert main(["clean", "models", "trainings"]) == 0

    assert files_in(home) == before
    assert "mine.safetensors" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "gone"),
    [
        ("models", "models/mine.safetensors"),
        ("trainings", "models/trainings/a/recipe.json"),
        ("trust", ".config/napari-sr/trusted/abc"),
        ("choices", ".config/napari-sr/widgets.ini"),
        ("preferences", ".config/napari/env/napari-sr.yaml"),
    ],
)
def test_only_what_is_chosen_goes(what, gone, home):
    before = files_in(home)

    assert main(["clean", what, "--yes"]) == 0

    assert files_in(home) == before - {gone}
    assert main(["clean", what, "--yes"]) == 0  # nothing left to remove


def test_what_other_programs_share_is_not_removed(home, capsys):
    with pytest.raises(SystemExit):
        main(["clean", "vgg19", "--yes"])

    assert "invalid choice: 'vgg19'" in capsys.readouterr().err


@pytest.mark.filterwarnings("always::napari_sr.catalogue.lookup.UnreadableModelWarning")
def test_a_damaged_model_is_told_and_can_be_removed_alone(home, capsys):
    folder = home / "models"
    (folder / "broken.safetensors").write_bytes(b"not a model")
    (folder / "theirs.pth").write_bytes(b"a network")
    (folder / "theirs.pth.card.json").write_text("{")
    before = files_in(home)

    assert main(["paths"]) == 0
    out, said = capsys.readouterr()
    assert "cannot be read: 3 items" in out
    assert {"broken.safetensors", "theirs.pth"} <= set(out.split())
    assert "broken.safetensors is skipped because it cannot be read" in said

    assert main(["clean", "damaged", "--only", "broken", "--yes"]) == 0
    assert files_in(home) == before - {"models/broken.safetensors"}
    assert main(["clean", "damaged", "--only", "theirs", "--yes"]) == 0
    assert files_in(home) & {f"models/{name}" for name in (
        "mine.safetensors", "theirs.pth", "theirs.pth.card.json"
    )} == {"models/mine.safetensors"}  # fmt: skip


def test_one_model_of_several_can_be_removed(home):
    save_model(tiny_fast(name="other"), home / "models" / "other.safetensors")
    before = files_in(home)

    assert main(["clean", "models", "--only", "absent", "--yes"]) == 0
    assert files_in(home) == before
    assert main(["clean", "models", "--only", "mine", "--yes"]) == 0
    assert files_in(home) == before - {"models/mine.safetensors"}


def test_the_names_that_can_be_cleaned_are_those_that_are_ours(home):
    from napari_sr.cli.storage import _NAMES

    assert tuple(kind.name for kind in list_stored() if not kind.is_shared) == _NAMES


def test_qt_keeps_choices_where_they_are_looked_for():
    pytest.importorskip("napari.layers", reason="napari is not installed")
    pytest.importorskip("qtpy.QtCore", reason="no Qt here", exc_type=ImportError)
    from napari_sr._napari.parts.remembered import _settings

    (choices,) = [kind for kind in list_stored() if kind.name == "choices"]

    assert choices.place.parts[-2:] == ("napari-sr", "widgets.ini")
    assert _settings().fileName().endswith("napari-sr/widgets.ini")
