"""Data sets in folders of pictures, read by Pillow: grey ones (H, W) or RGB ones (H, W, 3), all of one size, uint8.

A picture that can be taken for two (transparency, a palette, 16 bits, a rotation in its EXIF data) is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.readers.datasets.samples import Labels, Numbers, Samples

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
MODES: Final = {"L": "grey", "RGB": "RGB"}
_ORIENTATION: Final = 0x0112
"""The EXIF tag that says how a picture is turned; 1: not at all."""


def read_pictures(folder: Path, beside: Sequence[Path] = ()) -> Samples:
    """The pictures in a folder, in the order of their names; those in a subfolder have its name as their label.

    ``beside``: files in it that are no pictures (labels). Raises InvalidInput TLC501, TLC502, TLC504 (no Pillow).
    """
    found = list(_files(folder, {path.resolve() for path in beside}))
    if not found:
        raise InvalidInput(
            "TLC501", "no picture in the folder", file=str(folder), expected=" ".join(SUFFIXES)
        )
    nested = [path.parent != folder for path in found]
    if any(nested) and not all(nested):
        raise InvalidInput(
            "TLC502", "pictures in subfolders (their classes) and beside them", file=str(folder),
            got=f"{found[nested.index(True)].relative_to(folder)} and {found[nested.index(False)].name}",
        )  # fmt: skip
    arrays, mode = _read(found, folder)
    names = tuple(path.relative_to(folder).as_posix() for path in found)
    samples = Samples(f"{folder.name}/, {mode} pictures", Numbers(np.stack(arrays)), names, None)
    if not nested[0]:
        return samples
    texts = tuple(path.parent.name for path in found)
    return samples.with_labels(Labels(texts, f"subfolders of {folder.name}", folders=True))


def _files(folder: Path, beside: set[Path]) -> Iterator[Path]:
    """Pictures in the folder and one level below it, sorted. Hidden entries are nobody's. Raises TLC501: another file."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        inner = sorted(entry.iterdir()) if entry.is_dir() else [entry]
        for path in inner:
            if path.name.startswith(".") or path.resolve() in beside:
                continue
            if path.is_dir() or path.suffix.lower() not in SUFFIXES:
                what = "a folder in a class's folder" if path.is_dir() else "a file that is no picture"
                raise InvalidInput("TLC501", what, file=str(path), expected=" ".join(SUFFIXES))
            yield path


def _read(paths: Sequence[Path], folder: Path) -> tuple[list[NDArray[Any]], str]:
    arrays: list[NDArray[Any]] = []
    first = ("", (0, 0))
    for path in paths:
        mode, array = _picture(path)
        if arrays and (mode, array.shape[:2]) != first:
            raise InvalidInput(
                "TLC501", "pictures of different kinds", file=str(folder),
                expected=f"{first[0]}, {first[1][1]} x {first[1][0]} as {paths[0].name}",
                got=f"{mode}, {array.shape[1]} x {array.shape[0]}: {path.name}",
            )  # fmt: skip
        first = (mode, (int(array.shape[0]), int(array.shape[1])))
        arrays.append(array)
    return arrays, first[0]


def _picture(path: Path) -> tuple[str, NDArray[Any]]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise InvalidInput(
            "TLC504", "pictures need the package Pillow: pip install 'tlcheck[pictures]'", file=str(path)
        ) from error
    try:
        with Image.open(path) as picture:
            _check(picture, path)
            return MODES[picture.mode], np.asarray(picture, dtype=np.uint8)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidInput("TLC501", f"not a picture that can be read: {error}", file=str(path)) from error


def _check(picture: Image, path: Path) -> None:
    if picture.mode not in MODES or "transparency" in picture.info:
        raise InvalidInput(
            "TLC502", "which values has this picture? convert it to grey or RGB of 8 bits without transparency",
            file=str(path), got=f"mode {picture.mode}",
        )  # fmt: skip
    if getattr(picture, "n_frames", 1) != 1:
        raise InvalidInput("TLC502", "a file of several pictures", file=str(path))
    turned = picture.getexif().get(_ORIENTATION, 1)
    if turned != 1:
        raise InvalidInput(
            "TLC502", "turned by its EXIF orientation, which not every reader heeds: turn its pixels", file=str(path),
            got=f"orientation {turned}",
        )  # fmt: skip
