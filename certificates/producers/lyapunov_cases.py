"""Lyapunov artifacts made from scratch: constructed networks whose conditions are known to hold, or not.

``artifacts()`` gives (group, name, files, exit code, reason code, note); the first file is the artifact, the others are
what it names. Nothing is trained and nothing is read.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

Document = dict[str, Any]
Made = tuple[str, str, dict[str, bytes], int, str, str]

ARTIFACT: Final = "lyapunov.json"
NETWORK: Final = "network.json"

FACTOR: Final = [["0.30618", "0.10206"], ["0", "0.22822"]]
"""A quarter of the Cholesky factor of [[3/2, 1/2], [1/2, 1]], which solves the double integrator's Lyapunov equation."""


def double_integrator() -> Document:
    """V = |4 tanh(L x)|^2 on a square without a core: near the origin that is x^T P x."""
    return {
        "format": "tlcheck.lyapunov/1",
        "dynamics": "double_integrator",
        "region": {"lower": ["-1", "-1"], "upper": ["1", "1"]},
        "core": {"lower": ["-1/10", "-1/10"], "upper": ["1/10", "1/10"]},
        "V": {
            "network": {
                "weights": [FACTOR, [["4", "0"], ["0", "4"]]],
                "biases": [["0", "0"], ["0", "0"]],
                "activations": ["tanh", "linear"],
            },
            "form": "difference squared",
        },
        "claims": {
            "positive": True,
            "decreasing": True,
            "value": {"lower": "0.005", "upper": "4"},
            "value_over_norm": "1/2",
            "decay": "1/10",
        },
    }


def pendulum() -> Document:
    """A controlled pendulum: u cancels much of gravity's pull; V from tanh and a quadratic term."""
    return {
        "format": "tlcheck.lyapunov/1",
        "dynamics": ["x2", "sin(x1) - 0.1*x2 + u1"],
        "region": {"lower": ["-1", "-1"], "upper": ["1", "1"]},
        "core": {"lower": ["-1/5", "-1/5"], "upper": ["1/5", "1/5"]},
        "controller": {
            "network": {
                "weights": [[["-1/2", "-2/5"]], [["5"]]],
                "biases": [["0"], ["0"]],
                "activations": ["tanh", "linear"],
            },
            "difference": True,
        },
        "V": {
            "network": {
                "weights": [[["1/4", "1/4"]], [["2"]]],
                "biases": [["0"], ["0"]],
                "activations": ["tanh", "linear"],
            },
            "form": "difference squared",
            "quadratic": [["1", "0.2"], ["0.2", "0.7"]],
        },
        "claims": {"positive": True, "decreasing": True},
    }


def network() -> Document:
    """A scalar tanh network in TorchLean's layout."""
    return {
        "weights": [[[0.25, 0.5], [0.5, -0.125]], [[2.0, 1.0]]],
        "biases": [[0.0, 0.125], [0.5]],
        "activations": ["tanh", "linear"],
    }


def torchlean() -> Document:
    """Bounds of that network along x' = -x on a box away from the origin."""
    return {
        "method": "IBP",
        "dynamics": "linear",
        "network": NETWORK,
        "region": {"dim": 2, "lo": [0.5, 0.5], "hi": [1.0, 1.0]},
        "V_bounds": {"lo": 1.0, "hi": 3.0, "guaranteed_positive": True},
        "grad_bounds": {"lo": [0.5, 0.25], "hi": [1.0, 1.0]},
        "Vdot_bounds": {"lo": -2.0, "hi": -0.5, "guaranteed_negative": True},
        "verification": {"V_positive": True, "Vdot_negative": True, "lyapunov_verified": True},
    }


def linear_network() -> Document:
    """V = x2 + 1: its derivative along the pendulum is x2'."""
    return {"weights": [[[0.0, 1.0]]], "biases": [[1.0]], "activations": ["none"]}


def across_half_pi() -> Document:
    """-9.81 sin over [1.2, 2.0] reaches -9.81, which the sines at the two ends do not show."""
    return {
        "method": "IBP",
        "dynamics": "pendulum",
        "network": NETWORK,
        "region": {"lo": [1.2, 0.0], "hi": [2.0, 0.1]},
        "V_bounds": {"lo": 1.0, "hi": 1.125},
        "Vdot_bounds": {"lo": -9.2, "hi": -8.9},
        "verification": {"V_positive": True, "Vdot_negative": True, "lyapunov_verified": True},
    }


def changed(document: Document, edit: Callable[[Document], object]) -> Document:
    new = copy.deepcopy(document)
    edit(new)
    return new


def artifacts() -> Iterator[Made]:
    def made(
        group: str, name: str, document: Document, code: str, note: str, net: Document | None = None
    ) -> Made:
        files = {ARTIFACT: encoded(document)} | ({} if net is None else {NETWORK: encoded(net)})
        return group, name, files, {"TLC020": 0, "TLC021": 1, "TLC022": 4}.get(code, 3), code, note

    whole = changed(double_integrator(), lambda d: d.pop("core"))
    steep = changed(double_integrator(), lambda d: d["claims"].__setitem__("decay", "3/4"))
    free = changed(pendulum(), lambda d: d["controller"]["network"]["weights"].__setitem__(1, [["1"]]))
    flags = changed(torchlean(), lambda d: d["verification"].__setitem__("Vdot_negative", False))
    yield made("accept", "lyapunov-annulus", double_integrator(), "TLC020", "tanh V, core taken out")
    yield made(
        "accept", "lyapunov-controlled-pendulum", pendulum(), "TLC020", "controller and quadratic term"
    )
    yield made("accept", "lyapunov-torchlean", torchlean(), "TLC020", "bounds from the network", network())
    yield made("reject", "lyapunov-holds-the-equilibrium", whole, "TLC021", "V(0) = 0 and V'(0) = 0")
    yield made("reject", "lyapunov-decay-too-fast", steep, "TLC021", "no such rate of decay")
    yield made("reject", "lyapunov-weak-controller", free, "TLC021", "gravity wins")
    yield made(
        "reject",
        "lyapunov-sine-across-half-pi",
        across_half_pi(),
        "TLC021",
        "end points of sine",
        linear_network(),
    )
    yield made("reject", "lyapunov-flag", flags, "TLC021", "a flag against the file's own bounds", network())
    touching = changed(
        whole, lambda d: d.__setitem__("claims", {"value": {"lower": "0"}, "value_over_norm": "1/2"})
    )
    yield made("undecided", "lyapunov-touches-zero", touching, "TLC022", "true, with equality at the origin")
    core = changed(double_integrator(), lambda d: d["core"]["upper"].__setitem__(0, "1"))
    yield made(
        "malformed", "lyapunov-core-on-the-edge", core, "TLC101", "the core must lie inside the region"
    )


def encoded(document: Document) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()


def cases() -> Iterator[Any]:
    """As bundles of the corpus."""
    from packing import Case, with_manifest

    for group, name, files, exit_code, code, note in artifacts():
        format = "tlcheck.lyapunov" if b"tlcheck.lyapunov/1" in files[ARTIFACT] else "lyapunov-json"
        claim = {"kind": "artifact", "format": format, "artifact": ARTIFACT}
        yield Case(group, name, with_manifest(files, [claim]), exit_code, code, note)
