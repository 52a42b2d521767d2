"""Versions of tlcheck and of what it computes with, for reports."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from tlcheck import __version__

DISTRIBUTIONS: Final = ("python-flint", "mpmath", "numpy", "onnx", "safetensors", "vnnlib")
ONNXRUNTIMES: Final = ("onnxruntime-gpu", "onnxruntime")
"""Two distributions of one module; the first that is installed."""


def tool_versions() -> dict[str, str]:
    """Name to version; what is not installed is left out. Imports none of them."""
    versions = {"tlcheck": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in DISTRIBUTIONS:
        _add(versions, name)
    flint = flint_version()
    if flint:
        versions["FLINT"] = flint
    if not any(_add(versions, name) for name in ONNXRUNTIMES):
        versions["onnxruntime"] = "not installed"
    return versions


def flint_version() -> str:
    """The version of the FLINT library that this process computes with; empty when it has not loaded it."""
    return str(getattr(sys.modules.get("flint"), "__FLINT_VERSION__", ""))


def _add(versions: dict[str, str], name: str) -> bool:
    try:
        versions[name] = version(name)
    except PackageNotFoundError:
        return False
    return True
