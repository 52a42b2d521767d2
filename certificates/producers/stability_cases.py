"""Stability claims: specifications for published models, and small certificates made from scratch.

``python certificates/producers/stability_cases.py MODEL.json X.json`` writes the specification for one of the
published state dicts named
in ``SPECIFICATIONS`` (see certificates/formats/stability.md), for ``tlcheck certify-lyapunov X.json``. The
equations and constants are
those of the models' authors, the constants exact decimals. ``artifacts()`` gives (group, name, files, exit code,
reason code, note).
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

Document = dict[str, Any]
Made = tuple[str, str, dict[str, bytes], int, str, str]

ARTIFACT: Final = "stability.json"

PENDULUM: Final = ["x1 + 0.05*x2", "x2 + 0.05*(9.81/0.5*sin(x1) - 0.1/0.0375*x2 + u1/0.0375)"]
"""Inverted pendulum, explicit Euler: mass 0.15, length 0.5, damping 0.1, g 9.81, step 0.05."""
PATH: Final = ["x1 + 0.05*2*sin(x2)", "x2 + 0.05*(2*u1 - cos(x2)/(5 - sin(x2)))"]
"""Path tracking, explicit Euler: speed 2, length 1, radius 10, step 0.05; u = 1/10 at the equilibrium."""

# model: limit of u, level; quadratic V where the name says so
DISCRETE: Final = {
    "pendulum_state_feedback": ("6", "672"),
    "pendulum_state_feedback_small_torque": ("0.75", "1.15516"),
    "pendulum_state_feedback_quadratic": ("0.75", "75.2487"),
    "path_tracking_state_feedback": ("0.84", "36.48"),
    "path_tracking_state_feedback_small_torque": ("0.5", "22.87"),
    "path_tracking_state_feedback_quadratic": ("0.5", "1.85760951"),
}
SPECIFICATIONS: Final = (*DISCRETE, "van_seed0")


def discrete(name: str) -> Document:
    """The state-feedback models of Yang et al. (arXiv 2404.07956), decay 1/1000, no hole, no tolerance."""
    file, (limit, level), pendulum = f"{name}.json", DISCRETE[name], name.startswith("pendulum")
    gram = {"gram": {"file": file, "tensor": "lyapunov.R"}, "plus": "0.01"}
    leaky = {"file": file, "prefix": "lyapunov.net", "activation": "leaky_relu", "slope": "0.01"}
    side = "12" if pendulum else "3"
    return {
        "format": "tlcheck.stability/1",
        "time": "discrete",
        "statement": "asymptotic",
        "states": ["x1", "x2"],
        "networks": [
            {
                "names": ["u1"],
                "network": {"file": file, "prefix": "controller.net", "activation": "relu"},
                "inputs": ["x1", "x2"],
                "minus": ["0", "0"],
                "shift": ["0" if pendulum else "1/10"],
                "clip": [[f"-{limit}", limit]],
            }
        ],
        "equations": PENDULUM if pendulum else PATH,
        "V": {"quadratic": gram} if name.endswith("quadratic") else {"network": leaky, "l1": gram},
        "region": {"lower": [f"-{side}"] * 2, "upper": [side] * 2},
        "level": level,
        "decay": "0.001",
    }


def van_der_pol() -> Document:
    """The two-stage model of Li et al. (arXiv 2506.01356): practically stable, from 0.989 to 0.0106."""
    file = "van_seed0.json"
    return {
        "format": "tlcheck.stability/1",
        "time": "continuous",
        "statement": "practical",
        "states": ["x1", "x2"],
        "networks": [
            {
                "names": ["u1"],
                "network": {"file": file, "prefix": "controller.layers", "activation": "tanh"},
                "inputs": ["x1", "x2"],
                "minus": ["0", "0"],
                "outer": "tanh",
            }
        ],
        "equations": ["x2", "-x1 + (1 - x1^2)*x2 + u1"],
        "V": {
            "network": {"file": file, "prefix": "lyapunov.layers", "activation": "tanh"},
            "difference": False,
            "outer": "sigmoid",
        },
        "region": {"lower": ["-4.8", "-10.8"], "upper": ["4.8", "10.8"]},
        "level": "0.989",
        "inner_level": "0.0106",
    }


def specification(name: str) -> Document:
    return discrete(name) if name in DISCRETE else van_der_pol()


# Certificates from scratch.


def integrator() -> Document:
    """A double integrator in steps of 1/10, a clipped relu controller, quadratic V."""
    return {
        "format": "tlcheck.stability/1",
        "time": "discrete",
        "statement": "asymptotic",
        "states": ["x1", "x2"],
        "networks": [
            {
                "names": ["u1"],
                "network": {
                    "weights": [[["1", "2"], ["-1", "-2"]], [["-1", "1"]]],
                    "biases": [["1/4", "1/4"], ["0"]],
                    "activation": "relu",
                },
                "inputs": ["x1", "x2"],
                "minus": ["0", "0"],
                "clip": [["-1", "1"]],
            }
        ],
        "equations": ["x1 + 0.1*x2", "x2 + 0.1*u1"],
        "V": {"quadratic": [["3/2", "1/2"], ["1/2", "1"]]},
        "region": {"lower": ["-1", "-1"], "upper": ["1", "1"]},
        "level": "1/5",
        "decay": "1/100",
    }


def cone() -> Document:
    """A rotation that shrinks, V = |0.3 leaky(x1 + x2 + 1) - ...| + |x|_1."""
    return {
        "format": "tlcheck.stability/1",
        "time": "discrete",
        "statement": "asymptotic",
        "states": ["x1", "x2"],
        "equations": ["0.7*x1 - 0.1*sin(x2)", "0.1*x1 + 0.7*x2"],
        "V": {
            "network": {
                "weights": [[["1", "1"], ["1", "-2"]], [["1/5", "1/10"]]],
                "biases": [["1/2", "1/2"], ["3"]],
                "activation": "leaky_relu",
                "slope": "1/100",
            },
            "l1": [["1", "0"], ["0", "1"]],
        },
        "region": {"lower": ["-1", "-1"], "upper": ["1", "1"]},
        "level": "1/2",
        "decay": "1/50",
    }


def oscillator() -> Document:
    """x1' = x2, x2' = -x1 - x2 + x1^3/4, quadratic V; continuous time."""
    return {
        "format": "tlcheck.stability/1",
        "time": "continuous",
        "statement": "asymptotic",
        "states": ["x1", "x2"],
        "equations": ["x2", "-x1 - x2 + x1^3/4"],
        "V": {"quadratic": [["3/2", "1/2"], ["1/2", "1"]]},
        "region": {"lower": ["-1", "-1"], "upper": ["1", "1"]},
        "level": "1/2",
    }


def cycle() -> Document:
    """x' = x - x^3: trajectories from |x| <= 2 stay, and come to |x| <= 3/2; the origin is not stable."""
    return {
        "format": "tlcheck.stability/1",
        "time": "continuous",
        "statement": "practical",
        "states": ["x"],
        "equations": ["x - x^3"],
        "V": {"quadratic": [["1"]]},
        "region": {"lower": ["-3"], "upper": ["3"]},
        "level": "4",
        "inner_level": "9/4",
    }


def changed(document: Document, edit: Callable[[Document], object]) -> Document:
    new = copy.deepcopy(document)
    edit(new)
    return new


def certified(document: Document) -> Document:
    """With the core and the tree that the finder of tlcheck gives."""
    from tlcheck.prover.stability_search import find
    from tlcheck.readers.files import Files
    from tlcheck.readers.own.stability import conditions_of, read_artifact, tree_text

    artifact = read_artifact(json.dumps(document).encode(), "made")
    found = find(conditions_of(artifact, Files("made", lambda name: b"")))
    core = found.conditions.core
    extra: Document = {"tree": tree_text(found.tree)}
    if core is not None:
        extra["core"] = {"lower": [str(a) for a, _ in core], "upper": [str(b) for _, b in core]}
    if found.points:
        extra["points"] = [[str(q) for q in point] for point in found.points]
    return document | extra


def artifacts() -> Iterator[Made]:
    def made(group: str, name: str, document: Document, code: str, note: str) -> Made:
        exit_code = {"TLC020": 0, "TLC021": 1, "TLC022": 4}.get(code, 3)
        return group, name, {ARTIFACT: encoded(document)}, exit_code, code, note

    integrator_ = certified(integrator())
    oscillator_, cycle_, cone_ = certified(oscillator()), certified(cycle()), certified(cone())
    invariant = changed(cycle(), _without_inner("invariant"))
    yield made(
        "accept",
        "stability-integrator",
        integrator_,
        "TLC020",
        "quadratic V, kinks and a clip, origin included",
    )
    yield made(
        "accept",
        "stability-cone",
        cone_,
        "TLC020",
        "piecewise linear V: leaves by pieces, the core in cone form",
    )
    yield made("accept", "stability-oscillator", oscillator_, "TLC020", "continuous time, origin included")
    yield made("accept", "stability-practical", cycle_, "TLC020", "practically stable, to a level")
    yield made("accept", "stability-invariant", certified(invariant), "TLC020", "invariant only")
    unstable = changed(cycle(), _without_inner("asymptotic"))
    yield made(
        "reject", "stability-unstable-origin", certified(unstable), "TLC021", "V grows near the origin"
    )
    drifting = changed(integrator(), lambda d: d["networks"][0].__setitem__("shift", ["1/10"]))
    drifting |= {k: integrator_[k] for k in ("core", "tree")}
    yield made("reject", "stability-no-equilibrium", drifting, "TLC021", "the origin is not an equilibrium")
    high = changed(integrator_, lambda d: d.__setitem__("level", "3"))
    yield made(
        "reject", "stability-level-too-high", high, "TLC021", "the level set reaches the region's boundary"
    )
    hole = changed(
        integrator_, lambda d: d["core"].update(lower=["-1/1000", "-1/1000"], upper=["1/1000", "1/1000"])
    )
    yield made("undecided", "stability-core-too-small", hole, "TLC022", "a leaf of the core is not in it")
    rise = "125*(abs(x1 - 0.286) + abs(x1 - 0.284) - 2*abs(x1 - 0.285))"
    narrow = changed(
        cone_, lambda d: d.__setitem__("equations", [f"0.7*x1 - 0.1*sin(x2) + {rise}", "0.1*x1 + 0.7*x2"])
    )
    yield made(
        "undecided",
        "stability-narrow-rise",
        narrow,
        "TLC022",
        "V grows on a strip that no centre of a leaf meets",
    )
    dropped = changed(integrator_, lambda d: d.__setitem__("tree", d["tree"].rsplit(" ", 1)[0]))
    yield made("malformed", "stability-dropped-leaf", dropped, "TLC105", "the tree lacks its last leaf")


def _without_inner(statement: str) -> Callable[[Document], object]:
    def edit(d: Document) -> None:
        del d["inner_level"]
        d["statement"] = statement

    return edit


def encoded(document: Document) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()


def cases() -> Iterator[Any]:
    """As bundles of the corpus."""
    from packing import Case, with_manifest

    for group, name, files, exit_code, code, note in artifacts():
        claim = {"kind": "artifact", "format": "tlcheck.stability", "artifact": ARTIFACT}
        yield Case(group, name, with_manifest(files, [claim]), exit_code, code, note)


if __name__ == "__main__":
    model, target = map(Path, sys.argv[1:3])
    target.write_bytes(encoded(specification(model.stem)))
