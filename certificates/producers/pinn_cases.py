"""PINN artifacts made from scratch: boxes of a small tanh network, a little too wide or a little too narrow.

``artifacts()`` as in lyapunov_cases.py. The network is u(x) = tanh(x/2)/2 + tanh(x); the boxes are rounded outwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from lyapunov_cases import Document, Made, changed, encoded

ARTIFACT: Final = "pinn.json"


def certificate() -> Document:
    """One point, 1/2, with h = eps = 1/8."""
    return {
        "model": {
            "arch": [1, 2, 2, 1],
            "activations": ["tanh", "linear"],
            "weights": {
                "W1": [[0.5], [1.0]],
                "b1": [0.0, 0.0],
                "Wm": [[0.5, 0.0], [0.0, 1.0]],
                "bm": [0.0, 0.0],
                "W2": [[1.0, 1.0]],
                "b2": [0.0],
            },
        },
        "pinn": {"pde": "uxx + u^2 - ux", "h": 0.125, "eps": 0.125, "points": [0.5]},
        "u_bounds": [
            {
                "x": 0.5,
                "u_minus": {"lo": 0.307, "hi": 0.585},
                "u": {"lo": 0.450, "hi": 0.706},
                "u_plus": {"lo": 0.584, "hi": 0.816},
            }
        ],
        "residual_bounds": {"lo": [-33.5], "hi": [32.1]},
        "residual_bounds_deriv": {"lo": [-1.64], "hi": [-1.05]},
    }


def artifacts() -> Iterator[Made]:
    def made(group: str, name: str, document: Document, code: str, note: str) -> Made:
        exit_code = {"TLC020": 0, "TLC021": 1, "TLC022": 4}.get(code, 3)
        return group, name, {ARTIFACT: encoded(document)}, exit_code, code, note

    inward = changed(certificate(), lambda d: d["u_bounds"][0]["u"].__setitem__("hi", 0.7055))
    other = changed(certificate(), lambda d: d["pinn"].__setitem__("pde", "uxx + u^2 + ux"))
    step = changed(certificate(), lambda d: d["pinn"].__setitem__("h", 0))
    yield made("accept", "pinn-boxes", certificate(), "TLC020", "boxes of the file's own network")
    yield made("reject", "pinn-value-inward", inward, "TLC021", "one upper end just inside the range")
    yield made("reject", "pinn-other-equation", other, "TLC021", "boxes of another residual")
    yield made("malformed", "pinn-no-step", step, "TLC101", "a difference quotient over zero")


def cases() -> Iterator[Any]:
    """As bundles of the corpus."""
    from packing import Case, with_manifest

    for group, name, files, exit_code, code, note in artifacts():
        claim = {"kind": "artifact", "format": "torchlean-pinn", "artifact": ARTIFACT}
        yield Case(group, name, with_manifest(files, [claim]), exit_code, code, note)
