"""Leaves of a stability claim judged by pieces: where V(x) <= r, x+ in B, and V falls or, but in an asymptotic claim, V(x+) <= c.

On each piece (``by_pieces``) one of the two: for piecewise linear V, whose kinks cost other rules much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING

from tlcheck.trusted.arith.arb import Arb, arb, ball, lower_float
from tlcheck.trusted.calculus.jets import Jet
from tlcheck.trusted.calculus.ranges import Box, min_exact
from tlcheck.trusted.calculus.written import box_text
from tlcheck.trusted.conditions import Check, undecided
from tlcheck.trusted.science.by_pieces import MAX_PIECES, Pieces, TooManyPieces, as_form, forms

if TYPE_CHECKING:
    from tlcheck.trusted.science.stability_judge import Judge


def leaf_checks(judge: Judge, box: Box) -> Iterator[Check]:
    """Tag p. A piece on which V is above the level is left alone."""
    x = forms(box, len(box))
    pieces = Pieces(len(box), judge.max_pieces or MAX_PIECES)
    stays = falls = arb("inf")
    try:
        for _ in pieces:
            judge.tick()
            v = pieces.kept(lambda: judge.v(x, pieces))
            if pieces.least(v.shifted(-judge.level)) > 0:
                continue
            pieces.assume((-v).shifted(judge.level))
            after = pieces.kept(lambda: judge.f(x, pieces))
            stays = min_exact(stays, _room(judge, after, pieces))
            falls = min_exact(falls, _falls(judge, v, after, pieces)) if stays >= 0 else falls
            if not (stays >= 0 and falls >= 0):
                break
    except TooManyPieces:
        yield undecided("V falls, by pieces", box_text(box))
        return
    for name, low in (("next state in the region", stays), ("V falls, by pieces", falls)):
        known = lower_float(low)
        yield Check(name, bool(low >= 0) or None, known if abs(known) < inf else None, None, box_text(box))


def _room(judge: Judge, after: Sequence[Jet], pieces: Pieces) -> Arb:
    """How far inside B the next states of a piece are, at least."""
    room = arb("inf")
    for jet, (low, high) in zip(after, judge.of.region, strict=True):
        room = min_exact(room, pieces.least(jet.shifted(ball(-low))))
        room = min_exact(room, pieces.least((-jet).shifted(ball(high))))
    return room


def _falls(judge: Judge, v: Jet, after: Sequence[Jet], pieces: Pieces) -> Arb:
    """The least fall of V on a piece, or, where that is claimed, of V(x+) below c."""
    n = len(after)
    v_after = judge.v([as_form(jet).spread(n + k) for k, jet in enumerate(after)], pieces)
    falls = pieces.least(v.scaled(ball(1 - judge.of.decay)) - v_after)
    if falls >= 0 or not judge.allows_inside:
        return falls
    lands = pieces.least((-v_after).shifted(judge.inner))
    return lands if lands >= 0 else falls
