"""Boolean combinations of linear comparisons to the union of disjuncts of a :class:`Query`, exactly.

Both VNN-LIB readers build ``Formula`` values with :func:`compare`, ``And`` and ``Or``; :func:`normal_form` turns
their conjunction into disjuncts. What holds: a point (x, y) satisfies every assertion if and only if it lies in
some disjunct's box and satisfies its constraints. Disjuncts come in the order of the file; of several ``or``
assertions the last varies fastest.

Every number is a Fraction. Sizes are checked before anything is expanded.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, Literal, NamedTuple, TypeAlias

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_DECIMAL_DIGITS, MAX_DISJUNCTS, MAX_NORMAL_FORM_SIZE, MAX_TENSOR_ELEMENTS
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query

Variable: TypeAlias = tuple[Literal["X", "Y"], int]
"""An input (X) or output (Y) value by its flat index."""
Relation: TypeAlias = Literal["<=", "<", ">=", ">", "=", "!="]

_ZERO: Final = Fraction(0)
_ONE: Final = Fraction(1)
_MAX_BITS: Final = 32 * MAX_DECIMAL_DIGITS
"""Longest numerator or denominator of a product: some four literals of the largest size."""


@dataclass(slots=True)
class LinearForm:
    """sum of coefficient * variable, plus constant. Zero coefficients may occur. Built up in place."""

    terms: dict[Variable, Fraction] = field(default_factory=dict)
    constant: Fraction = _ZERO

    def add(self, other: LinearForm, scale: Fraction = _ONE) -> None:
        """self += scale * other."""
        for variable, coefficient in other.terms.items():
            self.terms[variable] = self.terms.get(variable, _ZERO) + scale * coefficient
        self.constant += scale * other.constant

    def is_constant(self) -> bool:
        """Whether no variable is left, after cancellation."""
        return not any(self.terms.values())

    def times(self, other: LinearForm) -> LinearForm:
        """The product, when at least one factor is constant; else TLC302."""
        if not self.is_constant():
            self, other = other, self
        if not self.is_constant():
            raise InvalidInput("TLC302", "product of two variables: only linear constraints are supported")
        product = LinearForm()
        product.add(other, self.constant)
        product.check_digits()
        return product

    def check_digits(self) -> None:
        """Raise TLC401 when a number has more digits than any property needs."""
        for number in (self.constant, *self.terms.values()):
            if max(number.numerator.bit_length(), number.denominator.bit_length()) > _MAX_BITS:
                raise InvalidInput("TLC401", "a product of constants has too many digits")


class InputBound(NamedTuple):
    """x_i <= value when ``upper``, else x_i >= value, for i = ``coordinate``; ``<``, ``>`` when ``strict``."""

    coordinate: int
    upper: bool
    value: Fraction
    strict: bool

    def as_constraint(self) -> LinearConstraint:
        sign = _ONE if self.upper else -_ONE
        return LinearConstraint(((self.coordinate, sign),), (), sign * self.value, self.strict)


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Some part holds."""

    parts: tuple[Formula, ...]


Atom: TypeAlias = InputBound | LinearConstraint | bool
Formula: TypeAlias = Atom | And | Or


def compare(left: LinearForm, relation: Relation, right: LinearForm) -> Formula:
    """The formula ``left relation right``; ``left`` is consumed.

    ``=`` gives the conjunction of ``<=`` and ``>=``, ``!=`` the disjunction of ``<`` and ``>``.
    """
    left.add(right, -_ONE)  # left - right  relation  0
    if relation == "=":
        return And((_at_most_zero(left, _ONE, False), _at_most_zero(left, -_ONE, False)))
    if relation == "!=":
        return Or((_at_most_zero(left, _ONE, True), _at_most_zero(left, -_ONE, True)))
    sign = _ONE if relation in ("<=", "<") else -_ONE
    return _at_most_zero(left, sign, relation in ("<", ">"))


def _at_most_zero(form: LinearForm, sign: Fraction, strict: bool) -> Atom:
    """The atom sign * form <= 0 (< 0 when strict), for sign = 1 or -1."""
    terms = sorted((v, sign * c) for v, c in form.terms.items() if c)
    bound = -sign * form.constant  # sum of terms <= bound
    if not terms:
        return bound > 0 if strict else bound >= 0
    (kind, index), coefficient = terms[0]
    if len(terms) == 1 and kind == "X":  # dividing by a negative coefficient turns <= into >=
        return InputBound(index, coefficient > 0, bound / coefficient, strict)
    inputs = tuple((i, c) for (k, i), c in terms if k == "X")
    outputs = tuple((i, c) for (k, i), c in terms if k == "Y")
    return LinearConstraint(inputs, outputs, bound, strict)


@dataclass(frozen=True)
class Space:
    """How many flat inputs and outputs a property declares, and how an error names an input."""

    n_inputs: int
    n_outputs: int
    input_name: Callable[[int], str]

    def check_fits(self, n_inputs: int | None, n_outputs: int | None) -> None:
        """Raise TLC301 for a side without variables, TLC401 beyond MAX_TENSOR_ELEMENTS, TLC303 for a count
        other than the model's (None: not known)."""
        for what, count, wanted in (
            ("input", self.n_inputs, n_inputs),
            ("output", self.n_outputs, n_outputs),
        ):
            if count == 0:
                raise InvalidInput("TLC301", f"the property declares no {what} variable")
            if count > MAX_TENSOR_ELEMENTS:
                raise InvalidInput(
                    "TLC401",
                    f"too many {what} variables",
                    expected=f"at most {MAX_TENSOR_ELEMENTS}",
                    got=str(count),
                )
            if wanted is not None and count != wanted:
                raise InvalidInput(
                    "TLC303",
                    f"the property does not fit the model's number of {what} values",
                    expected=f"{wanted}",
                    got=f"{count}",
                )


def normal_form(assertions: Iterable[Formula], space: Space, clip: Fraction | None = None) -> Query:
    """The conjunction of ``assertions`` as a union of disjuncts, in the order of the file.

    Bounds on single inputs go into the box (the tightest counts; a strict one stays in the constraints too);
    disjuncts with the same bounds share one InputBox object. Constant comparisons are evaluated: a true one is
    left out, a false one drops its disjunct. A box with lower > upper is kept. With ``clip``, an end that is missing
    is -clip or clip: then only points of the result are points of the property, not the other way round.

    Raises InvalidInput: TLC304 naming an input that lacks a finite bound in some disjunct, TLC401 when the normal
    form is larger than MAX_DISJUNCTS or MAX_NORMAL_FORM_SIZE.
    """
    conjuncts = _flatten(assertions)
    _check_size(And(tuple(p for p in conjuncts if not isinstance(p, InputBound) or p.strict)))
    common: list[InputBound] = []
    parts: list[list[_Case]] = []
    run: list[LinearConstraint] = []  # constraints between two disjunctions
    for part in conjuncts:
        if isinstance(part, InputBound):
            common.append(part)
            if part.strict:
                run.append(part.as_constraint())
        elif isinstance(part, LinearConstraint):
            run.append(part)
        else:
            parts.append([_Case((), tuple(run))])
            parts.append(_cases(part))
            run = []
    parts.append([_Case((), tuple(run))])
    boxes = _Boxes(common, space, clip)
    disjuncts = []
    for choice in itertools.product(*parts):
        case = _join(choice)
        disjuncts.append(Disjunct(boxes.box(case.bounds), case.constraints))
    return Query(space.n_inputs, space.n_outputs, tuple(disjuncts))


def _flatten(assertions: Iterable[Formula]) -> list[Formula]:
    """The conjuncts in order: nested ``And`` opened, ``True`` left out."""
    flat: list[Formula] = []
    stack = list(assertions)[::-1]
    while stack:
        part = stack.pop()
        if isinstance(part, And):
            stack.extend(reversed(part.parts))
        elif part is not True:
            flat.append(part)
    return flat


class _Case(NamedTuple):
    """One conjunction: input bounds (for the box) and constraints (strict input bounds among them)."""

    bounds: tuple[InputBound, ...]
    constraints: tuple[LinearConstraint, ...]


def _cases(formula: Formula) -> list[_Case]:
    """The disjunctive normal form; no case for ``False``, one empty case for ``True``."""
    if isinstance(formula, Or):
        cases = []
        for part in formula.parts:
            cases.extend(_cases(part))
        return cases
    if isinstance(formula, And):
        bounds: list[InputBound] = []
        constraints: list[LinearConstraint] = []
        for part in formula.parts:
            if isinstance(part, LinearConstraint):
                constraints.append(part)
            elif isinstance(part, InputBound):
                bounds.append(part)
                if part.strict:
                    constraints.append(part.as_constraint())
            else:
                break
        else:
            return [_Case(tuple(bounds), tuple(constraints))]
        return [_join(choice) for choice in itertools.product(*[_cases(part) for part in formula.parts])]
    if isinstance(formula, InputBound):
        return [_Case((formula,), (formula.as_constraint(),) if formula.strict else ())]
    if isinstance(formula, LinearConstraint):
        return [_Case((), (formula,))]
    return [_Case((), ())] if formula else []


def _join(cases: Sequence[_Case]) -> _Case:
    """The conjunction of ``cases``, in order."""
    full = [case for case in cases if case.bounds or case.constraints]
    if len(full) == 1:
        return full[0]
    return _Case(
        tuple(itertools.chain.from_iterable(case.bounds for case in full)),
        tuple(itertools.chain.from_iterable(case.constraints for case in full)),
    )


def _check_size(formula: Formula) -> tuple[int, int]:
    """(number of cases, number of bounds and constraints over all cases); TLC401 when either is too large."""
    if isinstance(formula, bool):
        return (1, 1) if formula else (0, 0)  # an empty case costs time, so it counts as an entry
    if isinstance(formula, Or):
        cases, entries = 0, 0
        for part in formula.parts:
            part_cases, part_entries = _check_size(part)
            cases, entries = cases + part_cases, entries + part_entries
        _check_limits(cases, entries)
    elif isinstance(formula, And):
        cases, entries = 1, 0
        for part in formula.parts:
            part_cases, part_entries = _check_size(part)
            # every case of the one goes with every case of the other
            cases, entries = cases * part_cases, entries * part_cases + part_entries * cases
            _check_limits(cases, entries)
    else:
        return (1, 1)
    return cases, entries


def _check_limits(cases: int, entries: int) -> None:
    if cases > MAX_DISJUNCTS:
        raise InvalidInput(
            "TLC401", "the property has too many disjuncts", expected=f"at most {MAX_DISJUNCTS}"
        )
    if entries > MAX_NORMAL_FORM_SIZE:
        raise _too_large()


def _too_large() -> InvalidInput:
    return InvalidInput(
        "TLC401",
        "the property's normal form is too large",
        expected=f"at most {MAX_NORMAL_FORM_SIZE} constraints and bounds",
    )


_Ends: TypeAlias = dict[int, Fraction]


class _Boxes:
    """The boxes of the disjuncts: bounds common to all, tightened by each disjunct's own.

    Disjuncts whose own bounds are the same objects, or tighten nothing, get the same InputBox object.
    """

    def __init__(self, common: Sequence[InputBound], space: Space, clip: Fraction | None) -> None:
        self._space = space
        self._clip = clip
        self._common: tuple[_Ends, _Ends] = ({}, {})  # lower, upper: indexed by InputBound.upper
        self._common_tuples: list[tuple[Fraction, ...] | None] = [None, None]
        self._common_box: InputBox | None = None
        self._known: dict[tuple[int, ...], InputBox] = {}
        self._built = 0
        for bound in common:
            _tighten(self._common[bound.upper], bound, self._common[bound.upper])

    def box(self, bounds: tuple[InputBound, ...]) -> InputBox:
        """The common box intersected with ``bounds``, which the caller keeps alive. TLC304, TLC401."""
        key = tuple(map(id, bounds))
        box = self._known.get(key)
        if box is None:
            box = self._known[key] = self._build(bounds)
        return box

    def _build(self, bounds: tuple[InputBound, ...]) -> InputBox:
        own: tuple[_Ends, _Ends] = ({}, {})
        for bound in bounds:
            _tighten(own[bound.upper], bound, self._common[bound.upper])
        if own[False] or own[True]:
            return InputBox(self._side(own[False], upper=False), self._side(own[True], upper=True))
        if self._common_box is None:
            self._common_box = InputBox(self._side({}, upper=False), self._side({}, upper=True))
        return self._common_box

    def _side(self, own: _Ends, *, upper: bool) -> tuple[Fraction, ...]:
        """The lower or upper ends of a box: ``own`` where there is one, else the common one."""
        if own:
            return self._complete(self._common[upper] | own, upper=upper)
        ends = self._common_tuples[upper]
        if ends is None:
            ends = self._common_tuples[upper] = self._complete(self._common[upper], upper=upper)
        return ends

    def _complete(self, ends: _Ends, *, upper: bool) -> tuple[Fraction, ...]:
        """One end per input, in order; nothing of size n_inputs is built unless every end is there."""
        n = self._space.n_inputs
        if len(ends) < n and self._clip is None:
            missing = self._space.input_name(next(i for i in range(n) if i not in ends))
            side = "upper" if upper else "lower"
            raise InvalidInput("TLC304", f"the input has no finite {side} bound", field=missing)
        self._built += n
        if self._built > MAX_NORMAL_FORM_SIZE:
            raise _too_large()
        if self._clip is not None:
            default = self._clip if upper else -self._clip
            return tuple(ends.get(i, default) for i in range(n))
        return tuple(map(ends.__getitem__, range(n)))


def _tighten(ends: _Ends, bound: InputBound, common: _Ends) -> None:
    """Set the coordinate's end to ``bound`` if that is tighter than the end in ``ends``, or else in ``common``."""
    end = ends.get(bound.coordinate)
    if end is None:
        end = common.get(bound.coordinate)
    if end is None or (bound.value < end if bound.upper else bound.value > end):
        ends[bound.coordinate] = bound.value
