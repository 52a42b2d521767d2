"""The architecture file of a sequential network (``read`` says what it means): strict JSON, typed."""

from __future__ import annotations

import msgspec

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_NODES
from tlcheck.readers.strict_json import decode

FORMAT = "tlcheck.sequential.v1"


class _Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """One layer; the tag is its ``type``."""


class Linear(_Layer, frozen=True, tag="linear"):
    weight: str
    bias: str | None = None


class Conv1d(_Layer, frozen=True, tag="conv1d"):
    weight: str
    bias: str | None = None
    stride: tuple[int] = (1,)
    padding: tuple[int] = (0,)
    dilation: tuple[int] = (1,)
    groups: int = 1


class Conv2d(_Layer, frozen=True, tag="conv2d"):
    weight: str
    bias: str | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


class ConvTranspose2d(_Layer, frozen=True, tag="conv_transpose2d"):
    weight: str
    bias: str | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    output_padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


class BatchNorm(_Layer, frozen=True, tag="batchnorm"):
    weight: str
    bias: str
    mean: str
    var: str
    eps: float = 1e-5


class Relu(_Layer, frozen=True, tag="relu"):
    pass


class Sigmoid(_Layer, frozen=True, tag="sigmoid"):
    pass


class Tanh(_Layer, frozen=True, tag="tanh"):
    pass


class Abs(_Layer, frozen=True, tag="abs"):
    pass


class Identity(_Layer, frozen=True, tag="identity"):
    pass


class LeakyRelu(_Layer, frozen=True, tag="leaky_relu"):
    negative_slope: float = 0.01


class Clip(_Layer, frozen=True, tag="clip"):
    min: float
    max: float


class AvgPool2d(_Layer, frozen=True, tag="avgpool2d"):
    kernel_size: tuple[int, int]
    stride: tuple[int, int] | None = None
    padding: tuple[int, int] = (0, 0)
    ceil_mode: bool = False
    count_include_pad: bool = True


class MaxPool2d(_Layer, frozen=True, tag="maxpool2d"):
    kernel_size: tuple[int, int]
    stride: tuple[int, int] | None = None
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False


class Flatten(_Layer, frozen=True, tag="flatten"):
    start_dim: int = 1
    end_dim: int = -1


class Reshape(_Layer, frozen=True, tag="reshape"):
    shape: list[int]


class Scale(_Layer, frozen=True, tag="scale"):
    factor: str
    offset: str | None = None


Layer = (
    Linear | Conv1d | Conv2d | ConvTranspose2d | BatchNorm | Relu | Sigmoid | Tanh | Abs | Identity | LeakyRelu
    | Clip | AvgPool2d | MaxPool2d | Flatten | Reshape | Scale
)  # fmt: skip


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    input: list[int]
    layers: list[Layer]


def read_architecture(data: bytes, file: str) -> Architecture:
    try:
        architecture = decode(data, Architecture, file)
    except InvalidInput as error:
        if error.code == "TLC101":
            error.code = "TLC201"
        raise
    if architecture.format != FORMAT:
        raise InvalidInput(
            "TLC201", "unknown architecture format", file=file, expected=FORMAT, got=architecture.format
        )
    if len(architecture.layers) > MAX_NODES // 8:
        raise InvalidInput("TLC401", "too many layers", file=file, expected=f"at most {MAX_NODES // 8}")
    if any(n < 1 for n in architecture.input):
        raise InvalidInput("TLC204", "input sizes must be positive", file=file, field="input")
    return architecture
