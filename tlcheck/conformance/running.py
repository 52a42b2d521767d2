"""One run: execute, enclose, compare. Two statements that are never mixed: what holds for every execution that the profile
allows, and what the executions made here gave."""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tlcheck import __version__, timer
from tlcheck.conformance.executable import (
    Enclosures,
    Level,
    Subject,
    Tell,
    about,
    enclosures,
    executed,
    is_classifier,
    load_subject,
)
from tlcheck.conformance.run_document import (
    MOST_NAMED,
    Against,
    Compared,
    Determinism,
    Difference,
    Document,
    LabelsOut,
    Layers,
    Memory,
    OutputOut,
    Outside,
    ProfileOut,
    Runtime,
    Speed,
    outside_elsewhere,
)
from tlcheck.conformance.run_points import Inputs
from tlcheck.errors import InvalidInput
from tlcheck.readers.runtime_profile import RuntimeProfile
from tlcheck.report.record import ExitCode
from tlcheck.runtime.device_memory import grown, pool_limit_mib, used_mib
from tlcheck.runtime.ort import ExecutionFailed
from tlcheck.runtime.pinned import EXACT_CUDA, PROVIDERS, Pin, Pinned, cpu_flags
from tlcheck.trusted.arith.decimals import decimal_outward

Floats = NDArray[np.float64]

SATURATING = ("MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv")
"""Operators whose kernels add pairs of products in 16 bits on a CPU of x86-64 without VNNI."""
SPARE = 1 + 2.0**-20
VNNI = ("avx512_vnni", "avx_vnni", "amx_int8")


@dataclass(frozen=True)
class Asked:
    """How the model is executed; the first of each is the execution that the others are compared with."""

    providers: tuple[str, ...] = ("cpu",)
    batches: tuple[int, ...] = (1,)
    threads: tuple[int, ...] = (1,)
    repeat: int = 2
    level: Level = "file"
    layers: bool = False
    against: tuple[str, ...] = ()

    @property
    def pin(self) -> Pin:
        return Pin(self.providers[0], self.threads[0])


@dataclass(frozen=True, eq=False)
class Ran:
    """``values`` (N, n_outputs) of the first execution; ``labels``: of each point its class that no execution flips, or None."""

    document: Document
    points: Floats
    values: Floats
    lower: Floats
    upper: Floats
    labels: tuple[int | None, ...]

    @property
    def exit_code(self) -> ExitCode:
        d = self.document
        if d.outside_count or outside_elsewhere(d) or (d.layers and d.layers.first_outside):
            return ExitCode.REFUTED
        return ExitCode.UNPROVEN if d.labels.undecided_count or d.no_enclosure else ExitCode.OK


@dataclass(eq=False)
class _Run:
    subject: Subject
    profile: RuntimeProfile
    inputs: Inputs
    asked: Asked
    tell: Tell
    explained: list[str] = field(default_factory=list)
    device: Memory = field(default_factory=lambda: Memory(peak_host_mib=0.0))

    def first(self) -> tuple[Floats, float]:
        """(outputs, points a second). Raises InvalidInput: the model cannot be executed."""
        cuda = self.asked.pin.provider == "cuda"
        before = used_mib() if cuda else None

        def ended(session: Pinned) -> None:
            if cuda:
                self.device = _on_device(session, before)

        try:
            return _timed(self.subject, self.asked.pin, self.inputs.points, self.asked.batches[0], ended)
        except ExecutionFailed as error:
            raise InvalidInput(
                "TLC505", f"onnxruntime cannot execute the model: {error}", file=str(self.subject.path),
                field=f"--provider {self.asked.pin.provider}",
            ) from None  # fmt: skip

    def compared(self, values: Floats, found: Enclosures, pin: Pin, batch: int) -> Compared:
        """Another execution of the same graph."""
        try:
            others, speed = _timed(self.subject, pin, self.inputs.points, batch)
        except ExecutionFailed as error:
            return Compared(refused=str(error))
        same = (others == values) | (np.isnan(others) & np.isnan(values))
        with np.errstate(invalid="ignore"):
            apart = np.where(same, 0.0, np.abs(others - values))
        inside, outside = found.counts(others)
        return Compared(
            inside=inside, outside=outside, differ=int((~same).sum()), max=_figure(float(apart.max(initial=0.0))),
            points_per_s=speed,
        )  # fmt: skip

    def against_enclosures(self, values: Floats, found: Enclosures) -> dict[str, Any]:
        """The two statements, and what lies outside."""
        inside, outside = found.counts(values)
        if outside:
            self.explain(found)
        return {
            "inside": inside, "outside": _outside(self.subject, self.inputs, values, found), "outside_count": outside,
            "no_enclosure": np.flatnonzero(~found.there).tolist(), "within": _within(values, found),
            "proved": _proved(self.profile, values, found), "observed": _observed(self.asked, values, inside),
        }  # fmt: skip

    def layers(self) -> Layers | None:
        if not self.asked.layers:
            return None
        from tlcheck.conformance.tensors_inside import layers_of  # only where it is asked for

        return layers_of(self.subject, self.profile, self.inputs, self.asked.pin, self.tell)

    def determinism(self, values: Floats, found: Enclosures) -> Determinism:
        a, pin, batch = self.asked, self.asked.pin, self.asked.batches[0]
        repeats = {str(k): self.compared(values, found, pin, batch) for k in range(2, a.repeat + 1)}
        threads = {str(t): self.compared(values, found, Pin(pin.provider, t), batch) for t in a.threads[1:]}
        batches = {str(b): self.compared(values, found, pin, b) for b in a.batches[1:]}
        providers = {p: self.compared(values, found, Pin(p, pin.threads), batch) for p in a.providers[1:]}
        return Determinism(
            values=values.size, repeats=repeats, threads=threads, batch=batches, providers=providers
        )

    def explain(self, found: Enclosures) -> None:
        """Of a model of int8 with outputs outside: whether saturating kernels are the cause, by an execution without them."""
        operators = {name for name in SATURATING if name.encode() in self.subject.content}
        if not operators or self.asked.pin.provider != "cpu":
            return
        exact = Pin(self.asked.pin.provider, self.asked.pin.threads, exact_int8=True)
        try:
            values, _ = _timed(self.subject, exact, self.inputs.points, self.asked.batches[0])
        except ExecutionFailed:
            return
        if bool(found.inside(values).all()):
            flags = cpu_flags()
            why = "; this CPU has no VNNI" if flags and not set(flags) & set(VNNI) else ""
            self.explained.append(
                f"{', '.join(sorted(operators))}: with session.x64quantprecision=1 every output lies inside; without it "
                f"onnxruntime adds pairs of 8-bit products in 16 bits, which saturate{why}"
            )


def _timed(
    subject: Subject,
    pin: Pin,
    points: Floats,
    batch: int,
    ended: Callable[[Pinned], None] = lambda session: None,
) -> tuple[Floats, float]:
    session = subject.session(pin)
    executed(session, points[:1], 1 if not session.takes_batches else batch)
    start = timer.now()
    values = executed(session, points, batch)
    rate = _rate(len(points), timer.now() - start)
    ended(session)
    return values, rate


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0


def _figure(x: float) -> float:
    """A number that JSON has."""
    return x if np.isfinite(x) else sys.float_info.max


def run(subject: Subject, profile: RuntimeProfile, inputs: Inputs, asked: Asked, tell: Tell) -> Ran:
    """Raises InvalidInput: TLC202 an operator without a radius, TLC505 the model cannot be executed as asked."""
    start = timer.now()
    this = _Run(subject, profile, inputs, asked, tell)
    values, speed = this.first()
    classes = _classes(subject, values)
    begun = timer.now()
    found = enclosures(subject, profile, inputs.points, _to_decide(classes, inputs.labels), tell)
    checked = _rate(len(values), timer.now() - begun)
    document = Document(
        schema_version=1, tool=_tool(), model=about(subject), profile=_profile(profile), runtime=_runtime(asked),
        inputs=list(inputs.said), points=len(values), **this.against_enclosures(values, found),
        outputs=_outputs(subject, values, found), labels=_labels(inputs, classes, found),
        determinism=this.determinism(values, found),
        layers=this.layers(), against=[_against(this, values, found, classes, other) for other in asked.against],
        explained=this.explained, memory=_memory(this.device), assumptions=_assumptions(profile),
        speed=Speed(inference_points_per_s=speed, checked_points_per_s=checked, seconds=timer.now() - start),
    )  # fmt: skip
    kept = tuple(c if c is not None and found.keeps[k].get(c) else None for k, c in enumerate(classes))
    return Ran(document, inputs.points, values, found.lower, found.upper, kept)


def _to_decide(classes: Sequence[int | None], labels: Sequence[int] | None) -> list[set[int]]:
    """Of each point: its class, and its label."""
    found = [set() if c is None else {c} for c in classes]
    return found if labels is None else [one | {label} for one, label in zip(found, labels, strict=True)]


def _classes(subject: Subject, values: Floats) -> list[int | None]:
    """The class that each point was given."""
    if not is_classifier(subject.graph):
        return [None] * len(values)
    return [int(row.argmax()) if np.isfinite(row).all() else None for row in values]


def _outside(subject: Subject, inputs: Inputs, values: Floats, found: Enclosures) -> list[Outside]:
    """The first values outside."""
    out = found.there[:, None] & ~((values >= found.lower) & (values <= found.upper))
    named = []
    for k, j in np.argwhere(out)[:MOST_NAMED].tolist():
        output, place = _place(subject, j)
        value = float(values[k, j])
        named.append(
            Outside(
                point=k, name=inputs.names[k], output=output, place=place, value=value if np.isfinite(value) else None,
                lower=float(found.lower[k, j]), upper=float(found.upper[k, j]),
            )
        )  # fmt: skip
    return named


def _place(subject: Subject, j: int) -> tuple[str, int]:
    """(output, place in it) of a flat output."""
    for name, (_, s) in zip(subject.graph.output_names, subject.network.output_slices, strict=True):
        if s.start <= j < s.stop:
            return name, j - s.start
    raise ValueError("no such output")


def _outputs(subject: Subject, values: Floats, found: Enclosures) -> list[OutputOut]:
    rows = []
    known = ~np.isnan(found.lower).any(axis=1) & np.isfinite(values).all(axis=1)
    observed, proved = np.abs(values - found.centre)[known], found.radius[known]
    for name, (_, s) in zip(subject.graph.output_names, subject.network.output_slices, strict=True):
        if not known.any():
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.nan_to_num(observed[:, s] / proved[:, s])
        rows.append(
            OutputOut(
                name=name, observed_max=float(observed[:, s].max()), proved_max=float(proved[:, s].max()),
                ratio_max=_figure(float(ratio.max())), ratio_median=_figure(float(np.median(ratio))),
            )
        )  # fmt: skip
    return rows


def _within(values: Floats, found: Enclosures) -> str | None:
    """A decimal above the distance of any enclosure's end from the values, by so much that enclosures made with another order of
    sums are within it too; None where one is not there or an output is not finite."""
    worst = float(np.maximum(found.upper - values, values - found.lower).max())
    return decimal_outward(worst * SPARE, "up", 3) if np.isfinite(worst) and worst >= 0 else None


def _proved(profile: RuntimeProfile, values: Floats, found: Enclosures) -> str:
    """The theorem, with the figure rounded up."""
    within = _within(values, found)
    allowed = f"every float32 execution that the profile {profile.document.name} allows"
    if within is None:
        return f"{allowed} has outputs in the enclosures, at the points where there is one"
    return f"{allowed} has, at each of these {len(values)} points, outputs within {within} of those recorded here"


def _observed(asked: Asked, values: Floats, inside: int) -> str:
    import onnxruntime

    pin = asked.pin
    where = f"onnxruntime {onnxruntime.__version__}, {pin.provider}, threads {pin.threads}, batch {asked.batches[0]}"
    return f"{where}: the outputs of {inside} of {len(values)} points lie in the enclosures"


def _labels(inputs: Inputs, classes: Sequence[int | None], found: Enclosures) -> LabelsOut:
    decided = sum(1 for k, c in enumerate(classes) if c is not None and found.keeps[k].get(c))
    given = inputs.labels
    if given is None:
        return LabelsOut(given=0, decided=decided)
    n = len(given)
    right = [found.keeps[k].get(label) for k, label in enumerate(given)]
    open_ = [k for k, answer in enumerate(right) if answer is None]
    least, most = right.count(True), n - right.count(False)
    return LabelsOut(
        given=n, decided=decided, accuracy_observed=sum(map(_same, classes, given)) / n, accuracy_proved=(least / n, most / n),
        undecided=open_[:MOST_NAMED], undecided_count=len(open_),
    )  # fmt: skip


def _same(found: int | None, given: int) -> bool:
    return found == given


def _against(
    this: _Run, values: Floats, found: Enclosures, classes: Sequence[int | None], other: str
) -> Against:
    """The same model by another provider, or another model. Raises InvalidInput."""
    subject, pin, theirs = this.subject, this.asked.pin, found
    if other in PROVIDERS:
        pin = Pin(other, pin.threads)
    else:
        subject = load_subject(Path(other), this.asked.level)
        if (
            subject.graph.n_inputs != this.subject.graph.n_inputs
            or subject.graph.n_outputs != this.subject.graph.n_outputs
        ):
            raise InvalidInput("TLC204", "not a model of the same inputs and outputs", file=other)
        theirs = enclosures(subject, this.profile, this.inputs.points, [set() for _ in classes], this.tell)
    second = _Run(
        subject,
        this.profile,
        this.inputs,
        Asked((pin.provider,), this.asked.batches, (pin.threads,)),
        this.tell,
    )
    made, _ = second.first()
    apart = np.abs(made - values)
    proved = np.maximum(found.upper - theirs.lower, theirs.upper - found.lower)
    outputs = [
        Difference(
            name=name, max=_figure(float(apart[:, s].max())), proved_max=_figure(float(proved[:, s].max()))
        )
        for name, (_, s) in zip(
            this.subject.graph.output_names, this.subject.network.output_slices, strict=True
        )
    ]
    flipped = sum(a != b for a, b in zip(classes, _classes(subject, made), strict=True))
    what = f"provider {other}" if other in PROVIDERS else f"model {subject.path.name}"
    inside, outside = theirs.counts(made)
    return Against(
        what=what, model=about(subject), inside=inside, outside=outside, outputs=outputs, other_classes=flipped
    )  # fmt: skip


def _tool() -> dict[str, str]:
    import onnxruntime

    return {"tlcheck": __version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__}


def _profile(profile: RuntimeProfile) -> ProfileOut:
    d = profile.document
    said = {name: getattr(d.provenance, name) for name in ("what", "how", "not_covered", "date")}
    return ProfileOut(name=d.name, kind=d.kind, sha256=profile.numbers.digest, provenance=said)


def _runtime(asked: Asked) -> Runtime:
    import os

    import onnxruntime

    environment = {name: os.environ[name] for name in EXACT_CUDA if name in os.environ}
    return Runtime(
        onnxruntime=onnxruntime.__version__, provider=asked.pin.provider, threads=asked.pin.threads, batch=asked.batches[0],
        options=asked.pin.options, environment=environment, machine=f"{platform.system()} {platform.machine()}",
        cpu_flags=cpu_flags(),
    )  # fmt: skip


def _memory(device: Memory) -> Memory:
    """With this process's peak, now."""
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return msgspec.structs.replace(device, peak_host_mib=peak)


def _on_device(session: Pinned, before: float | None) -> Memory:
    """While the session is there."""
    after = used_mib()
    limit = pool_limit_mib(session.session.get_provider_options())
    return Memory(
        peak_host_mib=0.0,
        device_used_mib=after,
        device_pool_mib=grown(before, after),
        device_pool_limit_mib=limit,
    )


def _assumptions(profile: RuntimeProfile) -> list[str]:
    d = profile.document
    return [
        "IEEE-754 double precision", "BLAS sums every product as a tree (probed)",
        f"for what holds of executions: they obey the profile {d.name} ({d.kind}); not covered: {d.provenance.not_covered}",
    ]  # fmt: skip
