"""Camera boxes: TorchLean's ``torchlean.camera.box3d.v1``, Omni3D predictions, and ``tlcheck.camera/1``.

TorchLean's and Omni3D's numbers are the nearest binary64 unless decimals are read exactly; ours are strings that hold
exact numbers (certificates/formats/camera.md). One file is one claim; JSON lines are one claim a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

from msgspec import Meta, Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.numbers import Read, decimals_text, number_reader
from tlcheck.trusted.science.camera import CameraBox, CameraClaim, Cuboid, Lens, Pixels, Pose

if TYPE_CHECKING:
    from tlcheck.trusted.science.pose_envelope import Uncertainty

T = TypeVar("T")
MAX_BOXES: Final = 1_000_000
CONSISTENT: Final = "the artifact is internally consistent: "
NOTHING: Final = "; it carries no network: nothing about one"

Row3 = tuple[str, str, str]
Row4 = tuple[str, str, str, str]
RawRow = tuple[Raw, Raw, Raw]


class TorchLeanBox(Struct, frozen=True):
    image_width: Raw
    image_height: Raw
    tol: Raw
    camera_P: list[Raw]
    corners3d: list[Raw]
    bbox2d: list[Raw]


class Omni3dBox(Struct, frozen=True):
    K: tuple[RawRow, RawRow, RawRow]
    corners3d: list[RawRow] | None = None
    corners3d_partial: list[RawRow] | None = None
    bbox2d: list[Raw] | None = None


class CameraText(Struct, frozen=True, forbid_unknown_fields=True):
    projection: tuple[Row4, Row4, Row4] | None = None
    intrinsics: tuple[Row3, Row3, Row3] | None = None
    rotation: tuple[Row3, Row3, Row3] | None = None
    translation: Row3 | None = None
    rotation_eps: str = "0"
    projection_eps: str = "0"


class CuboidText(Struct, frozen=True, forbid_unknown_fields=True):
    order: Literal["bits", "ring"] = "bits"
    handed: Literal["right", "left"] = "right"
    edge_eps: str = "0"
    cosine_eps: str = "0"


class PixelsText(Struct, frozen=True, forbid_unknown_fields=True):
    rounding: Literal["floor", "ceil", "half-even"]
    values: list[tuple[int, int]]
    offset: str = "0"


class LensText(Struct, frozen=True, forbid_unknown_fields=True):
    k: Annotated[list[str], Meta(min_length=1, max_length=8)]
    radius: str


class UncertaintyText(Struct, frozen=True, forbid_unknown_fields=True):
    rotation_degrees: Row3
    translation: Row3
    focal: str
    envelope: Row4
    least_depth: str = "0"


class BoxText(Struct, frozen=True, forbid_unknown_fields=True):
    camera: CameraText
    corners: Annotated[list[Row3], Meta(min_length=1, max_length=8)]
    name: str = ""
    image: tuple[str, str] | None = None
    box: Row4 | None = None
    truncated: bool = False
    tight: str | None = None
    cuboid: CuboidText | None = None
    pixels: PixelsText | None = None
    lens: LensText | None = None
    uncertainty: UncertaintyText | None = None


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["tlcheck.camera/1"]
    boxes: Annotated[list[BoxText], Meta(min_length=1, max_length=MAX_BOXES)]
    name: str = ""


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """One claim, or one a line. Raises InvalidInput TLC101, TLC106 or TLC401."""
    reader = {"torchlean-camera": _torchlean, "omni3d-box": _omni3d}.get(format, _ours)
    lines = [line for line in data.split(b"\n") if line.strip()]
    if len(lines) < 2 or not all(line.strip()[:1] == b"{" and line.strip()[-1:] == b"}" for line in lines):
        return [reader(data, "", files, options)]
    return [reader(line, f"line {k + 1}", files, options) for k, line in enumerate(lines)]


def _torchlean(data: bytes, line: str, files: Files, options: Options) -> LoadedClaim:
    text = decode(data, TorchLeanBox, files.where)
    read = number_reader(options.decimals)
    p = _list(text.camera_P, 12, "camera_P", read)
    x = _list(text.corners3d, 24, "corners3d", read)
    box = _list(text.bbox2d, 4, "bbox2d", read)
    tolerance = read(text.tol, "tol")
    made = CameraBox(
        projection=(p[0:4], p[4:8], p[8:12]),
        corners=tuple(x[k : k + 3] for k in range(0, 24, 3)),
        image=(read(text.image_width, "image_width"), read(text.image_height, "image_height")),
        box=_four(box),
        tolerance=tolerance,
        allowed=max(Fraction(0), min(tolerance, options.slack)),
    )
    return _claim(line or "camera box", made, files, options)


def _omni3d(data: bytes, line: str, files: Files, options: Options) -> LoadedClaim:
    """Corners in the camera's own frame: P = [K | 0]."""
    text = decode(data, Omni3dBox, files.where)
    read = number_reader(options.decimals)
    corners = text.corners3d if text.corners3d is not None else text.corners3d_partial
    if not corners or len(corners) > 8:
        raise InvalidInput("TLC101", "wrong length", field="corners3d", expected="1 to 8")
    made = CameraBox(
        projection=tuple((*(read(k, "K") for k in row), Fraction(0)) for row in text.K),
        corners=tuple(tuple(read(c, f"corners3d[{i}]") for c in row) for i, row in enumerate(corners)),
        box=None if text.bbox2d is None else _four(_list(text.bbox2d, 4, "bbox2d", read)),
    )
    return _claim(line or "camera box", made, files, options)


def _claim(name: str, box: CameraBox, files: Files, options: Options) -> LoadedClaim:
    claim = CameraClaim((box,), CONSISTENT, NOTHING, decimals_text(options.decimals))
    return LoadedClaim(name, claim, sources=files.sources)


def _ours(data: bytes, line: str, files: Files, options: Options) -> LoadedClaim:
    document = decode(data, Document, files.where)
    boxes = tuple(_box(text, f"boxes[{i}]") for i, text in enumerate(document.boxes))
    name = document.name or line or "camera boxes"
    return LoadedClaim(name, CameraClaim(boxes, CONSISTENT, NOTHING), sources=files.sources)


def _box(text: BoxText, field: str) -> CameraBox:
    projection, pose = _camera(text.camera, f"{field}.camera")
    _needs(text.cuboid is None or len(text.corners) == 8, "8 corners", f"{field}.cuboid")
    _needs(
        text.uncertainty is None or pose is not None,
        "intrinsics, rotation, translation",
        f"{field}.uncertainty",
    )
    _needs(text.tight is None or text.box is not None, "box", f"{field}.tight")
    _needs(
        not text.truncated or (text.box is not None and text.image is not None),
        "box and image",
        f"{field}.truncated",
    )
    _needs(
        text.pixels is None or len(text.pixels.values) == len(text.corners),
        "one pair a corner",
        f"{field}.pixels",
    )
    image = None if text.image is None else _numbers(text.image, f"{field}.image")
    return CameraBox(
        projection=projection,
        corners=tuple(_numbers(corner, f"{field}.corners[{k}]") for k, corner in enumerate(text.corners)),
        name=text.name,
        image=None if image is None else (image[0], image[1]),
        box=None if text.box is None else _four(_numbers(text.box, f"{field}.box")),
        truncated=text.truncated,
        tight=None if text.tight is None else _eps(text.tight, f"{field}.tight"),
        pose=pose,
        cuboid=None if text.cuboid is None else _cuboid(text.cuboid, f"{field}.cuboid"),
        pixels=None if text.pixels is None else _pixels(text.pixels, f"{field}.pixels"),
        lens=None if text.lens is None else _lens(text.lens, f"{field}.lens"),
        uncertainty=None
        if text.uncertainty is None
        else _uncertainty(text.uncertainty, f"{field}.uncertainty"),
    )


def _camera(text: CameraText, field: str) -> tuple[tuple[tuple[Fraction, ...], ...], Pose | None]:
    given = None if text.projection is None else _matrix(text.projection, f"{field}.projection")
    if text.intrinsics is None or text.rotation is None or text.translation is None:
        none = text.intrinsics is None and text.rotation is None and text.translation is None
        if given is None or not none:
            expected = "a projection, or intrinsics with rotation and translation, or all of them"
            raise InvalidInput("TLC101", "no camera", field=field, expected=expected)
        return given, None
    pose = Pose(
        _matrix(text.intrinsics, f"{field}.intrinsics"),
        _matrix(text.rotation, f"{field}.rotation"),
        _numbers(text.translation, f"{field}.translation"),
        _eps(text.rotation_eps, f"{field}.rotation_eps"),
        None if given is None else _eps(text.projection_eps, f"{field}.projection_eps"),
    )
    return given or pose.projection(), pose


def _cuboid(text: CuboidText, field: str) -> Cuboid:
    edge, cosine = _eps(text.edge_eps, f"{field}.edge_eps"), _eps(text.cosine_eps, f"{field}.cosine_eps")
    return Cuboid(text.order, edge, cosine, text.handed)


def _pixels(text: PixelsText, field: str) -> Pixels:
    return Pixels(text.rounding, exact_number(text.offset, field=f"{field}.offset"), tuple(text.values))


def _lens(text: LensText, field: str) -> Lens:
    return Lens(_numbers(text.k, f"{field}.k"), exact_number(text.radius, field=f"{field}.radius"))


def _uncertainty(text: UncertaintyText, field: str) -> Uncertainty:
    from tlcheck.trusted.science.pose_envelope import Uncertainty  # the claim asks for it too

    degrees = _numbers(text.rotation_degrees, f"{field}.rotation_degrees")
    lengths = _numbers(text.translation, f"{field}.translation")
    try:
        return Uncertainty(
            (degrees[0], degrees[1], degrees[2]),
            (lengths[0], lengths[1], lengths[2]),
            exact_number(text.focal, field=f"{field}.focal"),
            _four(_numbers(text.envelope, f"{field}.envelope")),
            exact_number(text.least_depth, field=f"{field}.least_depth"),
        )
    except ValueError as error:
        raise InvalidInput("TLC101", str(error), field=field) from None


def _list(texts: Sequence[Raw], count: int, field: str, read: Read) -> tuple[Fraction, ...]:
    if len(texts) != count:
        raise InvalidInput("TLC101", "wrong length", field=field, expected=str(count), got=str(len(texts)))
    return tuple(read(text, f"{field}[{k}]") for k, text in enumerate(texts))


def _numbers(texts: Sequence[str], field: str) -> tuple[Fraction, ...]:
    return tuple(exact_number(text, field=field) for text in texts)


def _matrix(rows: Sequence[Sequence[str]], field: str) -> tuple[tuple[Fraction, ...], ...]:
    return tuple(_numbers(row, f"{field}[{i}]") for i, row in enumerate(rows))


def _four(q: Sequence[Fraction]) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    return q[0], q[1], q[2], q[3]


def _eps(text: str, field: str) -> Fraction:
    value = exact_number(text, field=field)
    if value < 0:
        raise InvalidInput("TLC101", "below 0", field=field, got=ascii(text[:60]))
    return value


def _needs(met: bool, what: str, field: str) -> None:
    if not met:
        raise InvalidInput("TLC101", "something is missing, or does not fit", field=field, expected=what)
