"""The parameters of a dense network in JSON by their names: ``layers.<i>.weight`` and ``layers.<i>.bias``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from tlcheck.errors import InvalidInput

LAYER: Final = re.compile(r"layers\.(0|[1-9][0-9]{0,5})\.(weight|bias)")


def check_layers(top: Mapping[str, Raw]) -> None:
    """A dense network has weights and biases in its layers, in one place. Raises InvalidInput TLC101: nothing is left out."""
    inside = member(top, "params", "") if "params" in top else {}
    for name in (*inside, *top):
        if name.startswith("layers.") and (LAYER.fullmatch(name) is None or (inside and name in top)):
            raise InvalidInput(
                "TLC101", "not a parameter of a dense network", field=ascii(name[:60])[1:-1],
                expected="layers.<i>.weight and layers.<i>.bias, once",
            )  # fmt: skip


def member(top: Mapping[str, Raw], name: str, file: str) -> dict[str, Raw]:
    try:
        return msgspec.json.decode(top[name], type=dict[str, Raw])
    except msgspec.ValidationError as error:
        raise InvalidInput("TLC101", str(error), file=file, field=name) from None
