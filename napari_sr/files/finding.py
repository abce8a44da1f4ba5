"""What is typed → what is meant.

This module alone knows how the words of a command line become files to work on, and
which files of a folder are left out, and why. It loads no torch, so that a typing
mistake is answered quickly.
"""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.files import holds_dicom, is_dicom, open_stack
from napari_sr.files.formats import (
    FORMATS,
    SeveralImagesError,
    find_format,
    why_unreadable,
)
from napari_sr.files.url import Url, as_place
from napari_sr.files.zarr.layout import images_in
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_REPORT = re.compile(r"napari-sr-report[^/]*\.csv")
_LABELS = re.compile(
    r"(?:.*[_\-. ])?(?:labels?|masks?|seg|segmentation|cp_masks)", re.IGNORECASE
)
"""What programs that find objects call their results."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What there is to work on, and what is left out of the folders looked through."""

    stacks: list[Path | Url] = field(default_factory=list)
    """Files, and folders that are a stack; each once."""
    skipped: dict[Path, str] = field(default_factory=dict)
    """Why a file is left out, for each that is."""


class NoImagesError(StackError):
    """A folder has files, and none of them is an image to work on.

    Parameters
    ----------
    folder
        Which one.
    skipped
        Why each file is left out.
    """

    def __init__(self, folder: Path, skipped: Mapping[Path, str]) -> None:
        super().__init__(
            f"Folder {folder} holds no image that can be read{_examples(skipped)}."
        )
        self.skipped = skipped


def look_for(patterns: Sequence[str], leave_out: Path | None = None) -> Finding:
    """Turn files, folders, patterns and addresses into stacks, each once.

    Parameters
    ----------
    patterns
        What was typed, in order. Of a folder all stacks in it and below are taken,
        several DICOM files in one as the slices of a series, and the files of an OME
        set as one stack; folders and patterns are sorted as people count, `z2` before
        `z10`.
    leave_out
        Where the results go. Such a folder inside another one is not entered, and no
        result in it is taken for a recording.

    Raises
    ------
    NoImagesError
        If a folder holds no stack.
    StackError
        If a pattern matches nothing.
    """
    places = [as_place(text) for text in patterns]
    addresses = [place for place in places if isinstance(place, Url)]
    local = [str(place) for place in places if isinstance(place, Path)]
    stacks: dict[Path | Url, None] = {}
    skipped: dict[Path, str] = {}
    for pattern in local:
        for match in _matches(pattern):
            if not match.is_dir() or _is_stack_folder(match):
                stacks.update(dict.fromkeys(images_in(match)))
                continue
            inside = _look_through(match, leave_out)
            if not inside.stacks:
                raise NoImagesError(match, inside.skipped)
            stacks.update(dict.fromkeys(inside.stacks))
            skipped.update(inside.skipped)
    stacks.update(dict.fromkeys(addresses))
    skipped = {path: why for path, why in skipped.items() if path not in stacks}
    return Finding([*stacks], skipped)


def _examples(skipped: Mapping[Path, str], n_most: int = 3) -> str:
    """Say of some files why they are left out."""
    reasons = [f"{path.name} {why}" for path, why in sorted(skipped.items())]
    return f": {'; '.join(reasons[:n_most])}" if reasons else ""


def each_image_of(sources: Sequence[Path | Url]) -> list[Path | Url]:
    """Take the images of files that hold several one by one, as `tiles.lif/Series2`.

    Parameters
    ----------
    sources
        Such files and others. What cannot be opened stays as it is: who works on it
        will say why.
    """
    return [image for source in sources for image in _images_of(source)]


def _images_of(source: Path | Url) -> list[Path | Url]:
    if not isinstance(source, Path):
        return [source]
    known = find_format(source)
    if known is None or not known.holds_paths:
        return [source]
    try:
        open_stack(source, channel=0).close()
    except SeveralImagesError as several:
        names = several.images
        return [
            source / (name if _is_plain(name, names) else str(number))
            for number, name in enumerate(names)
        ]
    except (StackError, OSError):
        pass
    return [source]


def _is_plain(name: str, names: Sequence[str]) -> bool:
    """Tell whether an image can be named by its name: others go by their number."""
    is_path = re.fullmatch(r"[\w()+-][\w .()+-]*", name) is not None
    return is_path and not name.isdigit() and names.count(name) == 1


def find_sources(
    patterns: Sequence[str], leave_out: Path | None = None
) -> list[Path | Url]:
    """Turn files, folders, patterns and addresses into stacks; see `look_for`."""
    return look_for(patterns, leave_out).stacks


def find_stacks(patterns: Sequence[str], leave_out: Path | None = None) -> list[Path]:
    """Turn files, folders and patterns into stacks; see `look_for`."""
    local = [path for path in patterns if isinstance(as_place(path), Path)]
    return [
        path for path in look_for(local, leave_out).stacks if isinstance(path, Path)
    ]


def _matches(pattern: str) -> list[Path]:
    """List what a name or a pattern stands for; a name is taken as it is."""
    path = Path(pattern)
    if path.exists() or not glob.has_magic(pattern):
        return [path]
    matches = [Path(match) for match in glob.glob(pattern, recursive=True)]
    if not matches:
        raise StackError(f"No file matches {pattern!r}. Check the pattern.")
    return sorted(filter(_is_outside_stacks, matches), key=_natural)


def _look_through(folder: Path, leave_out: Path | None) -> Finding:
    """Find the stacks in a folder and below, and why the other files are none."""
    results = None if leave_out is None else Path(os.path.abspath(leave_out))
    stacks: list[Path] = []
    skipped: dict[Path, str] = {}
    for path in sorted(_stacks_below(folder, results, skipped), key=_natural):
        is_among_results = results is not None and results in _parents_of(path)
        if is_among_results and _is_result(path):
            skipped[path] = "is a result of napari-sr"
        elif _is_named_like_labels(path, folder):
            skipped[path] = (
                "is named like a label image; to process it anyway, give it alone"
            )
        else:
            stacks.append(path)
    parts = _parts_of_sets(stacks)
    skipped |= {part: f"belongs to {whole.name}" for part, whole in parts.items()}
    whole = [path for path in stacks if path not in parts]
    skipped = {path: skipped[path] for path in sorted(skipped, key=_natural)}
    return Finding([image for path in whole for image in images_in(path)], skipped)


def _stacks_below(
    folder: Path, results: Path | None, skipped: dict[Path, str]
) -> Iterator[Path]:
    """Walk through folders, but not into those that are one stack."""
    for place, folders, files in os.walk(folder):
        entered = []
        for name in filter(_is_visible, folders):
            path = Path(place, name)
            if _is_stack_folder(path):
                yield path
            elif Path(os.path.abspath(path)) != results:
                entered.append(name)
        folders[:] = entered
        is_series = holds_dicom(Path(place), at_least=2)
        if is_series:
            yield Path(place)
        for name in filter(_is_visible, files):
            path = Path(place, name)
            if is_series and is_dicom(path):
                continue
            known = find_format(path)
            if is_dicom(path) if known is None else not known.is_missing:
                yield path
            elif not _REPORT.fullmatch(name):
                skipped[path] = why_unreadable(path)


def _is_visible(name: str) -> bool:
    """Leave out hidden files: unfinished results, and what macOS puts beside files."""
    return not name.startswith(".")


def _is_stack_folder(path: Path) -> bool:
    """Tell whether a folder is an image, by its suffix or by what is in it."""
    return any(
        path.suffix.lower() in known.suffixes
        or any((path / marker).exists() for marker in known.markers)
        for known in FORMATS
        if known.markers
    )


def _is_outside_stacks(path: Path) -> bool:
    """Leave out what a pattern finds inside a Zarr folder: the folder is the stack."""
    return not any(map(_is_stack_folder, path.parents))


def _parents_of(path: Path) -> Sequence[Path]:
    return Path(os.path.abspath(path)).parents


def _is_result(path: Path) -> bool:
    """Tell what this package has made from what it has not."""
    try:
        with open_stack(path, channel=0) as stack:
            return str(stack.provenance.get("software", "")).startswith("napari-sr")
    except (StackError, OSError):
        return False


def _is_named_like_labels(path: Path, folder: Path) -> bool:
    """Tell by its name, or that of a folder that it is in, what no recording is."""
    *folders, name = path.relative_to(folder).parts or (folder.name,)
    return any(map(_LABELS.fullmatch, (name.partition(".")[0], *folders)))


def _parts_of_sets(paths: Sequence[Path]) -> dict[Path, Path]:
    """Find the files that are read with another one: the one of each OME set."""
    from napari_sr.files.tiff.sets import set_of

    listed = set(paths)
    whole_of: dict[Path, Path] = {}
    for path in paths:
        if path in whole_of or path.suffix.lower() not in FORMATS[0].suffixes:
            continue
        others = [path.with_name(name) for name in set_of(path)]
        whole_of |= {part: path for part in others if part in listed and part != path}
    return whole_of


def _natural(path: Path) -> list[list[tuple[int, str]]]:
    """Sort by the numbers in a name, not by their digits."""
    return [
        [(int(run), "") if run.isdigit() else (-1, run) for run in _runs(part)]
        for part in path.parts
    ]


def _runs(text: str) -> list[str]:
    return re.findall(r"[0-9]+|[^0-9]+", text)
