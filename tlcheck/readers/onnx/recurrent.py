"""Recurrent networks (RNN, GRU, LSTM), unrolled over their sequence.

Guarantee: the nodes emitted denote the standard's equations, step by step, over the reals. Their float32 steps are those of
onnxruntime's kernels: all products that go into a gate are one sum, so that any order of them is covered, and what is added
to a gate beside them (peepholes, a product with the reset gate, then a bias) is one sum too. Sigmoid and Tanh of GRU and RNN
are not those of the operators: profiles have names of their own for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.limits import MAX_NODES
from tlcheck.readers.onnx.arithmetic import ONE, add_signed, multiplied, scale
from tlcheck.readers.onnx.call import DIFFER, Call, positions
from tlcheck.readers.onnx.functions import ZERO, elu, linear, softsign, where_above
from tlcheck.readers.onnx.matrices import product
from tlcheck.readers.onnx.operands import Data, Known, Shape, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Sum
from tlcheck.trusted.ops.bent import Clip, LeakyRelu
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.smooth import Softplus
from tlcheck.trusted.ops.statistics import Unlike
from tlcheck.trusted.ops.structure import Rearrange

Activation = Callable[[Call, Data], Data]
Step = Callable[[Value, "State"], "State"]

GATES: Final = {"RNN": 1, "GRU": 3, "LSTM": 4}
"""Rows of the weights are so many times the hidden size: z, r, h of a GRU; i, o, f, c of an LSTM."""
USUAL: Final = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
DIRECTIONS: Final = {"forward": (1,), "reverse": (-1,), "bidirectional": (1, -1)}
NODES_A_STEP: Final = 4
"""A step emits at least so many."""


@dataclass(frozen=True)
class State:
    """What one step hands to the next, (B, H) each: None is zero. ``c``: of an LSTM."""

    h: Value | None
    c: Value | None = None


@dataclass(frozen=True)
class Weights:
    """One direction's: W^T (I, G H), R^T (H, G H), its two biases (G H,), peepholes i, o, f (H,) each."""

    w: Value
    r: Value
    wb: Value | None
    rb: Value | None
    p: tuple[Value, ...]
    functions: tuple[Activation, ...]
    size: int


def recurrent(call: Call) -> list[Value]:
    """Y (T, D, B, H), Y_h (D, B, H) and, of an LSTM, Y_c; with ``layout`` the batch comes first in each."""
    x, w, r = (call.value(i) for i in range(3))
    batch_first = call.attr_flag("layout", False)
    call.require_float(x, w, r)
    call.refuse(x.dtype not in ("float32", "float64"), f"operand of type {x.dtype}")
    words = call.attr_str("direction", "forward")
    call.refuse(words not in DIRECTIONS, f"direction {words}")
    directions = DIRECTIONS[words]
    if len(x.shape) != 3 or 0 in x.shape:
        raise call.misshapen(f"X of shape {x.shape}: expected three axes, none empty")
    x = _swapped(call, x) if batch_first else x
    length, batch, width = x.shape
    n, gates = len(directions), GATES[call.op]
    size = call.attr_int("hidden_size", r.shape[-1] if r.shape else 0)
    _fits(call, "W", w, (n, gates * size, width))
    _fits(call, "R", r, (n, gates * size, size))
    most = MAX_NODES // (NODES_A_STEP * n)
    call.refuse(length > most, f"a sequence of {length} steps: at most {most} are unrolled")
    _require_full(call, length, batch)
    starts = [
        _states(call, i, (n, batch, size), batch_first) for i in ((5, 6) if call.op == "LSTM" else (5,))
    ]
    weights = _weights(call, w, r, size, n)
    runs = [
        _run(call, x, weights[d], State(*(start[d] for start in starts)), direction)
        for d, direction in enumerate(directions)
    ]
    return _results(call, runs, (length, n, batch, size), batch_first)


def _swapped(call: Call, x: Value) -> Value:
    return call.move(x, lambda a: np.swapaxes(a, 0, 1))


def _fits(call: Call, what: str, x: Value, shape: Shape) -> None:
    call.refuse_shape(x.shape != shape, f"{what} of shape {x.shape}, expected {shape}")


def _require_full(call: Call, length: int, batch: int) -> None:
    """Every sequence has its whole length: else the standard does not say what Y holds after its end."""
    lengths = call.optional_known(4)
    if lengths is None:
        return
    _fits(call, "sequence_lens", lengths, (batch,))
    call.refuse(bool((lengths.array != length).any()), f"sequence_lens that are not all {length}")


def _states(call: Call, i: int, shape: Shape, batch_first: bool) -> list[Value | None]:
    """The first state of each direction; None is zero."""
    given = call.optional(i)
    if given is None:
        return [None] * shape[0]
    given = _swapped(call, given) if batch_first else given
    _fits(call, f"operand {i}", given, shape)
    zero = isinstance(given, Known) and given.rad is None and not given.array.any()
    return [None if zero else _taken(call, given, d) for d in range(shape[0])]


def _taken(call: Call, x: Value, index: Any) -> Value:
    return call.move(x, lambda a: a[index])


def _weights(call: Call, w: Value, r: Value, size: int, n: int) -> list[Weights]:
    gates = GATES[call.op] * size
    b, p = call.optional(3), call.optional(7) if call.op == "LSTM" else None
    if b is not None:
        _fits(call, "B", b, (n, 2 * gates))
    if p is not None:
        _fits(call, "P", p, (n, 3 * size))
    if call.op == "LSTM":
        call.refuse(call.attr_int("input_forget", 0) != 0, "input_forget", DIFFER)
    functions = _functions(call, n)

    def of(d: int) -> Weights:
        wb, rb = (None if b is None else _taken(call, b, (d, slice(k, k + gates))) for k in (0, gates))
        places = () if p is None else range(0, 3 * size, size)
        peepholes = tuple(_taken(call, p, (d, slice(k, k + size))) for k in places if p is not None)
        wt, rt = (call.move(m, lambda a: a[d].T) for m in (w, r))
        return Weights(wt, rt, wb, rb, peepholes, functions[d], size)

    return [of(d) for d in range(n)]


# activations


def _functions(call: Call, n: int) -> list[tuple[Activation, ...]]:
    """Those of each direction, with what the attributes say."""
    usual = USUAL[call.op]
    names = call.attr_strs("activations") or list(usual * n)
    call.refuse(len(names) != len(usual) * n, f"{len(names)} activations, expected {len(usual) * n}")
    numbers = [
        _numbers(call, names, key, ACTIVATIONS_WITH[key]) for key in ("activation_alpha", "activation_beta")
    ]
    found = [_activation(call, *each) for each in zip(names, *numbers, strict=True)]
    clip = call.attr_float("clip", 0.0)
    if call.has("clip"):
        call.refuse(clip <= 0, f"clip {clip}")
        call.refuse(
            call.op == "LSTM", "clip: onnxruntime does not clip the cell before its activation", DIFFER
        )
        found = [partial(_clipped, f, Constant(np.array(clip))) for f in found]
    return [tuple(found[k : k + len(usual)]) for k in range(0, len(found), len(usual))]


def _clipped(f: Activation, bound: Constant, call: Call, x: Data) -> Data:
    return f(call, call.emit(Clip(Constant(-bound.mid), bound), x))


ACTIVATIONS_WITH: Final[dict[str, dict[str, float | None]]] = {
    "activation_alpha": {
        "Affine": None, "Elu": 1.0, "HardSigmoid": 0.2, "LeakyRelu": 0.01, "ScaledTanh": None, "ThresholdedRelu": None,
    },
    "activation_beta": {"Affine": None, "HardSigmoid": 0.5, "ScaledTanh": None},
}  # fmt: skip
"""Activations that have the number, and its default; None: the standard has none, or runtimes another."""


def _numbers(call: Call, names: Sequence[str], key: str, defaults: dict[str, float | None]) -> list[float]:
    """The number of each activation. The list may have one for each activation, or for those alone that have the number: where
    this would not be the same, it is refused.
    """
    given, taken = call.attr_floats(key) or [], 0
    found = []
    for place, name in enumerate(names):
        if name not in defaults:
            found.append(0.0)
            continue
        choices = [given[k] if k < len(given) else None for k in (place, taken)]
        taken += 1
        call.refuse(choices[0] != choices[1], f"{key} {given} of {list(names)}: which is whose is not said")
        value = defaults[name] if choices[0] is None else choices[0]
        if value is None:
            raise call.unsupported(f"{name} without {key}")
        call.refuse(not np.isfinite(value), f"{key} is not finite")
        found.append(float(np.float32(value)))
    return found


def _activation(call: Call, name: str, alpha: float, beta: float) -> Activation:
    """Sigmoid and Tanh of an LSTM are the operators' own in onnxruntime, those of GRU and RNN are not."""
    kernel = "" if call.op == "LSTM" else "Recurrent"
    simple: dict[str, Activation] = {
        "Affine": lambda call, x: linear(call, x, alpha, beta),
        "HardSigmoid": lambda call, x: call.emit(
            Clip(ZERO, ONE), scale(call, x, Constant(np.array(alpha)), Constant(np.array(beta)), 3)
        ),
        "LeakyRelu": lambda call, x: call.emit(LeakyRelu(alpha), x),
        "Relu": lambda call, x: call.emit(Relu(), x),
        "Sigmoid": lambda call, x: call.emit(Sigmoid(kernel), x),
        "Tanh": lambda call, x: call.emit(Tanh(kernel), x),
        "ThresholdedRelu": lambda call, x: where_above(call, x, alpha, x),
    }
    others: dict[str, Activation] = {
        "Elu": lambda call, x: elu(call, x, alpha),
        "ScaledTanh": lambda call, x: linear(call, call.emit(Tanh(), linear(call, x, beta)), alpha),
        "Softplus": lambda call, x: call.emit(Softplus(), x),
        "Softsign": softsign,
    }
    call.refuse(name not in simple | others, f"activation {name[:40]}")
    own = Unlike(f"{name} of {call.op}, which runtimes compute by other steps")
    return simple[name] if name in simple else lambda call, x: call.emit(own, others[name](call, x))


# steps


def _run(call: Call, x: Value, weights: Weights, state: State, direction: int) -> list[State]:
    """The state after each step, in the sequence's order."""
    step = STEPS[call.op](call, weights)
    found = []
    for entry in _entries(call, x)[::direction]:
        state = step(entry, state)
        found.append(state)
    return found[::direction]


def _entries(call: Call, x: Value) -> list[Value]:
    """x[t] for every t. The entries of a node are numbered once."""
    if isinstance(x, Known):
        return [_taken(call, x, t) for t in range(x.shape[0])]
    (index,) = positions([x.shape])
    return [call.emit(Rearrange(x.shape[1:], part.reshape(-1)), x) for part in index]


def _sum(call: Call, parts: Sequence[Value | None]) -> Value | None:
    """None is zero."""
    there = [x for x in parts if x is not None]
    return reduce(lambda a, b: add_signed(call, a, b, 1), there) if there else None


def _affine(call: Call, parts: Sequence[tuple[Value | None, Value]], biases: Sequence[Value | None]) -> Value:
    """The sum of the products (B, K) (K, N), as one; and of the biases (N,). A part that is None is zero."""
    there = [(x, m) for x, m in parts if x is not None]
    x = call.moves([x for x, _ in there], lambda arrays: np.concatenate(arrays, axis=1))
    matrix = call.moves([m for _, m in there], np.concatenate)
    bias = _sum(call, biases)
    if isinstance(matrix, Known) and (bias is None or isinstance(bias, Known)):
        return product(call, x, matrix, bias=bias)
    y = product(call, x, matrix)
    return y if bias is None else add_signed(call, y, bias, 1)


def _total(call: Call, *parts: Value | None) -> Data:
    """Their sum as one, in whatever order; None is zero. One part at least has the whole shape."""
    there = [x for x in parts if x is not None]
    shape = call.common_shape(*there)
    wide = [call.data(call.broadcast(x, shape)) for x in there]
    return wide[0] if len(wide) == 1 else call.emit(Sum((1,) * len(wide)), *wide)


def _gates(call: Call, x: Value, size: int) -> list[Value]:
    """(B, G H) as G pieces (B, H)."""
    return [_taken(call, x, (slice(None), slice(k, k + size))) for k in range(0, x.shape[1], size)]


def _columns(call: Call, x: Value | None, start: int, end: int | None) -> Any:
    return None if x is None else _taken(call, x, (..., slice(start, end)))


def _rnn(call: Call, v: Weights) -> Step:
    """H' = f(X W^T + H R^T + Wb + Rb)"""
    (f,) = v.functions
    return lambda x, s: State(f(call, call.data(_affine(call, [(x, v.w), (s.h, v.r)], [v.wb, v.rb]))))


def _gru(call: Call, v: Weights) -> Step:
    """z = f(X Wz^T + H Rz^T + Wbz + Rbz), r = f(the same of r); h = g(X Wh^T + (r H) Rh^T + Wbh + Rbh), or with
    linear_before_reset g(X Wh^T + r (H Rh^T + Rbh) + Wbh); H' = (1 - z) h + z H.
    """
    f, g = v.functions
    n = 2 * v.size
    gate, hidden = ([_columns(call, a, *at) for a in (v.w, v.r, v.wb, v.rb)] for at in ((0, n), (n, None)))
    before = call.attr_flag("linear_before_reset", False)

    def inner(x: Value, h: Value | None, r: Data) -> Value:
        w, rh, wb, rb = hidden
        if not before:
            return _affine(call, [(x, w), (None if h is None else multiplied(call, r, h), rh)], [wb, rb])
        past = rb if h is None else _affine(call, [(h, rh)], [rb])
        return _total(
            call, _affine(call, [(x, w)], []), None if past is None else multiplied(call, r, past), wb
        )

    def step(x: Value, s: State) -> State:
        w, rzr, wb, rb = gate
        z, r = (
            f(call, call.data(a)) for a in _gates(call, _affine(call, [(x, w), (s.h, rzr)], [wb, rb]), v.size)
        )
        new = multiplied(
            call, scale(call, z, Constant(np.array(-1.0)), ONE, 1), g(call, call.data(inner(x, s.h, r)))
        )
        return State(new if s.h is None else add_signed(call, new, multiplied(call, z, s.h), 1))

    return step


def _lstm(call: Call, v: Weights) -> Step:
    """i = f(X Wi^T + H Ri^T + Pi C + Wbi + Rbi), f the same of f, c = g(X Wc^T + H Rc^T + Wbc + Rbc), C' = f C + i c,
    o = f(X Wo^T + H Ro^T + Po C' + Wbo + Rbo), H' = o h(C').
    """
    f, g, h = v.functions
    early, later = ((), (v.wb, v.rb)) if v.p else ((v.wb, v.rb), ())
    bias = _sum(call, later)
    late = [None] * 4 if bias is None else _gates(call, call.reshape(bias, (1, 4 * v.size)), v.size)

    def gate(a: Value, k: int, cell: Value | None) -> Data:
        seen = multiplied(call, cell, v.p[k]) if v.p and cell is not None else None
        return _total(call, a, seen, late[k])

    def step(x: Value, s: State) -> State:
        i, o, forget, c = _gates(call, _affine(call, [(x, v.w), (s.h, v.r)], early), v.size)
        new = multiplied(call, f(call, gate(i, 0, s.c)), g(call, _total(call, c, late[3])))
        if s.c is not None:
            new = add_signed(call, multiplied(call, f(call, gate(forget, 2, s.c)), s.c), new, 1)
        out = f(call, gate(o, 1, new))
        return State(multiplied(call, out, h(call, call.data(new))), new)

    return step


STEPS: Final[dict[str, Callable[[Call, Weights], Step]]] = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}


# results


def _results(call: Call, runs: Sequence[Sequence[State]], shape: Shape, batch_first: bool) -> list[Value]:
    """Those that are wanted; the others are anything."""
    length, n, batch, size = shape
    last = [
        run[0] if d < 0 else run[-1]
        for run, d in zip(runs, DIRECTIONS[call.attr_str("direction", "forward")], strict=True)
    ]

    def joined(parts: Sequence[Value | None], shape: Shape, order: tuple[int, ...]) -> Value:
        there = [x for x in parts if x is not None]

        def how(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
            stacked = np.stack(arrays).reshape(shape)
            return stacked.transpose(order) if batch_first else stacked

        return call.moves(there, how)

    every = [run[t].h for t in range(length) for run in runs]
    makers = [
        partial(joined, every, (length, n, batch, size), (2, 0, 1, 3)),
        partial(joined, [s.h for s in last], (n, batch, size), (1, 0, 2)),
        partial(joined, [s.c for s in last], (n, batch, size), (1, 0, 2)),
    ]
    anything = call.value(0)
    wanted = zip(call.wanted, makers, strict=False)
    return [make() if is_wanted else anything for is_wanted, make in wanted]
