"""Every limit, with its reason. Sizes are checked before anything is allocated."""

from __future__ import annotations

from typing import Final

MIB: Final = 1 << 20
GIB: Final = 1 << 30

MAX_FILE_BYTES: Final = 2 * GIB
"""Largest file opened: protobuf's own limit for an ONNX file."""
MAX_UNPACKED_BYTES: Final = 2 * GIB
"""Largest content of a gzip or zip member: beyond it, a bomb."""
MAX_UNPACK_RATIO: Final = 2000
"""gzip reaches 1032:1 at most, zip (deflate) the same; property files reach 60:1. Beyond it, a bomb."""
MAX_PLAUSIBLE_RATIO: Final = 200
"""Unpacked to packed size of a whole file above BOMB_BYTES: property files reach 60:1, proofs' arrays 22:1; a file of
zeros 1030:1. Beyond it, a bomb."""
BOMB_BYTES: Final = 64 * MIB
"""Content up to this size is unpacked whatever its ratio."""
MAX_JSON_BYTES: Final = 256 * MIB
"""Largest JSON document (a manifest is kilobytes; foreign certificates reach tens of megabytes)."""
MAX_JSON_DEPTH: Final = 64
"""Deepest JSON nesting; no format we read goes beyond 8."""
MAX_TENSOR_ELEMENTS: Final = 1 << 28
"""Largest tensor (2 GiB as float64); the largest VNN-COMP network has 6.7e7 parameters."""
MAX_NODES: Final = 200_000
"""Most nodes of a model's graph."""
MAX_RANK: Final = 16
"""Most axes of a tensor."""
MAX_SEXPR_DEPTH: Final = 256
"""Deepest nesting of a VNN-LIB expression."""
MAX_DISJUNCTS: Final = 1_000_000
"""Most disjuncts of a query's normal form (nn4sys reaches 60,000)."""
MAX_PROPERTY_BYTES: Final = 256 * MIB
"""Largest property, unpacked (nn4sys cardinality_1_11000 has 100 MB); reading takes some 20 times that in memory."""
MAX_NORMAL_FORM_SIZE: Final = 1 << 26
"""Most constraints over all disjuncts plus box ends over all distinct boxes of a normal form: 0.5 GiB of pointers."""
MAX_DECIMAL_DIGITS: Final = 4096
"""Longest decimal literal and largest absolute exponent: beyond it, a denial of service."""
MAX_LEAVES: Final = 50_000_000
"""Most leaves of one proof."""
MAX_HINT_LITERALS: Final = 1 << 26
"""Most splits of all leaves that another tool's file names: some gigabytes of lists."""
MAX_TREE_DEPTH: Final = 100_000
"""Deepest path of a proof tree."""
MAX_ZIP_MEMBERS: Final = 10_000
"""Most members of a bundle."""
MAX_MANIFEST_BYTES: Final = 16 * MIB
"""Largest manifest.json of a bundle, and header of its arrays: parsed whole; a witness of 10^5 numbers has 3 MiB."""
MAX_BUNDLE_BYTES: Final = 64 * GIB
"""Largest content of a bundle's files together; arrays are memory-mapped, so nothing of this size is allocated."""
