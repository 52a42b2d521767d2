"""What a run leaves in its folder, each file whole or not at all.

======================  ============================================================================================
``robust.tlcert``       a claim of unsat, with its proof, for each certified sample (``robust-2.tlcert``, ... where one
                        bundle would be too large)
``attacked.tlcert``     a claim of sat, with its witness, for each sample that is wrong or has a counterexample
``queries/``            the question about each sample, and ``instances.csv``, for other tools
``unfinished/``         while it runs: what is decided, one bundle a sample, without the network
``robust.lock``         the claims of the bundles, for ``tlcheck verify DIR --expect DIR/robust.lock``
``report.md, .json``    the report
======================  ============================================================================================
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tlcheck import __version__
from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_MANIFEST_BYTES
from tlcheck.readers.bundle.manifest import Producer
from tlcheck.readers.bundle.read import read_bundle
from tlcheck.readers.bytes import sha256_hex
from tlcheck.robust.answer import ATTACKED, CERTIFIED, WRONG, Answer
from tlcheck.robust.questions import Questions
from tlcheck.robust.region import Point
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.guidance import Guidance
from tlcheck.writers.bundle import ClaimOut, SatOut, UnsatOut, exact_text, write_claims, write_whole

ROBUST, REFUTING, LOCK = "robust", "attacked", "robust.lock"
QUERIES, UNFINISHED = "queries", "unfinished"
REPORT: Final = ("report.md", "report.json")
MOST_CLAIMS: Final = 2000
"""Of one bundle: the header of its arrays stays far below its limit."""
MOST_VALUES: Final = 1_000_000
"""Values of all boxes of a bundle: reading them all takes some 300 MB."""
_OURS: Final = re.compile(rf"({ROBUST}|{REFUTING})(-[0-9]+)?\.tlcert")
_QUERY: Final = re.compile(r"[0-9]{5,}\.vnnlib|instances\.csv")


@dataclass(frozen=True)
class Folder:
    path: Path

    def begin(self, *, resume: bool) -> None:
        """The folder is there, and empty unless a run is resumed. Raises InvalidInput TLC402."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            there = sorted(entry.name for entry in self.path.iterdir())
        except OSError as error:
            raise InvalidInput(
                "TLC402", f"cannot make the folder: {error.strerror}", file=str(self.path)
            ) from error
        if there and not resume:
            raise InvalidInput(
                "TLC402", "the folder is not empty: take it over with --resume, or name another", file=str(self.path),
                got=", ".join(there[:4]),
            )  # fmt: skip
        for name in (QUERIES, UNFINISHED):
            (self.path / name).mkdir(exist_ok=True)

    def write(self, name: str, content: bytes) -> None:
        write_whole(self.path / name, content)

    @property
    def bundles(self) -> list[Path]:
        """Those that a run has finished."""
        return sorted(path for path in self.path.glob("*.tlcert") if _OURS.fullmatch(path.name))

    def earlier(self, questions: Questions) -> tuple[dict[str, Guidance | Point], list[str]]:
        """(evidence by the SHA-256 of its question, what is left out), of runs before. Nothing of it is believed.

        Raises InvalidInput: a bundle that would be replaced and is none; TLC402: evidence that --limit would drop.
        """
        found: dict[str, Guidance | Point] = {}
        notes = []
        for path in [*self.bundles, *sorted((self.path / UNFINISHED).glob("*.tlcert"))]:
            try:
                found.update(_evidence(path, questions.network.path))
            except InvalidInput as error:
                if path.parent == self.path and error.code != "TLC103":
                    raise error.in_file(str(path)) from error.__cause__
                notes.append(f"{path.name} left out: {error.line()} [{error.code}]")
                if path.parent != self.path:
                    path.unlink()
        if others := len(found.keys() - _asked(questions, found)):
            notes.append(
                f"evidence about {others} other question{'s' * (others > 1)} of an earlier run is left out"
            )
        return found, notes

    # while it runs

    def write_queries(self, questions: Questions, seconds: float) -> None:
        """The questions, and the list of instances as competitions have it: network, question, time."""
        for stale in self.path.glob(f"{QUERIES}/*"):
            if _QUERY.fullmatch(stale.name):
                stale.unlink()
        for name in REPORT:  # it is about other questions, as long as this run is not finished
            (self.path / name).unlink(missing_ok=True)
        rows = []
        model = questions.network.path.resolve()
        for k in range(questions.count):
            self.write(f"{QUERIES}/{questions.file(k)}", questions.text(k))
            rows.append(f"{_cell(str(model))},{questions.file(k)},{seconds:g}\n")
        self.write(f"{QUERIES}/instances.csv", "".join(rows).encode("utf-8", "surrogateescape"))

    def keep(self, questions: Questions, answer: Answer) -> None:
        """An answer's evidence, until the run has finished."""
        if answer.evidence is None:
            return
        out = replace(questions.network.out, content=None)
        name = questions.file(answer.sample)
        target = self.path / UNFINISHED / f"{answer.sample:05d}.tlcert"
        write_claims(
            target, out, {name: questions.text(answer.sample)}, [_claim(questions, answer, name)], PRODUCER
        )

    # the end

    def write_bundles(
        self, questions: Questions, answers: Sequence[Answer]
    ) -> list[tuple[Path, list[Answer]]]:
        """The bundles of all evidence, each with its answers in the order of its claims; older ones are gone."""
        written = []
        for stem, statuses in ((ROBUST, {CERTIFIED}), (REFUTING, {ATTACKED, WRONG})):
            chosen = [answer for answer in answers if answer.status in statuses]
            for number, part in enumerate(_parts(questions, chosen), 1):
                target = self.path / (f"{stem}.tlcert" if number == 1 else f"{stem}-{number}.tlcert")
                self._write_bundle(target, questions, part)
                written.append((target, part))
        for path in self.bundles:
            if path not in [target for target, _ in written]:
                path.unlink()
        return written

    def _write_bundle(self, target: Path, questions: Questions, answers: Sequence[Answer]) -> None:
        files = {answer.sample: f"{QUERIES}/{questions.file(answer.sample)}" for answer in answers}
        texts = {name: questions.text(k) for k, name in files.items()}
        claims = [_claim(questions, answer, files[answer.sample]) for answer in answers]
        write_claims(target, questions.network.out, texts, claims, PRODUCER)

    def end(self) -> None:
        """What is in the bundles is no longer unfinished."""
        shutil.rmtree(self.path / UNFINISHED, ignore_errors=True)


PRODUCER: Final = Producer("tlcheck certify-robust", __version__)


def _claim(questions: Questions, answer: Answer, name: str) -> ClaimOut:
    title = claim_name(questions, answer)
    if isinstance(answer.evidence, Guidance):
        return UnsatOut(title, answer.evidence, name)
    if answer.evidence is None:
        raise ValueError("no claim without evidence")
    return SatOut(title, answer.evidence, name)


def claim_name(questions: Questions, answer: Answer) -> str:
    """The claim's name: which sample, which label, and which of the answers it has."""
    words = {CERTIFIED: "robust", ATTACKED: "not robust", WRONG: "wrong"}
    if questions.template is not None:
        words = {CERTIFIED: "holds", ATTACKED: "violated", WRONG: "violated at the sample"}
    return f"{questions.name(answer.sample)}: {words[answer.status]}"


def _asked(questions: Questions, found: Mapping[str, object]) -> set[str]:
    """The SHA-256 of the questions. Raises InvalidInput TLC402: one that --limit leaves out is ``found``, and would be lost."""
    asked = {sha256_hex(questions.text(k)) for k in range(questions.count)}
    if not found.keys() <= asked:
        for k in range(questions.count, questions.samples.values.count):
            if sha256_hex(questions.text(k)) in found:
                raise InvalidInput(
                    "TLC402", "the folder has evidence about an input that --limit leaves out, and would lose it: "
                    "ask for as many inputs as before, or name another folder", field=questions.name(k),
                    expected=f"--limit {k + 1} or more", got=f"--limit {questions.count}",
                )  # fmt: skip
    return asked


def _evidence(path: Path, model: Path) -> Iterator[tuple[str, Guidance | Point]]:
    """(SHA-256 of the question, evidence) of each claim of a bundle. Raises InvalidInput."""
    for loaded in read_bundle(path, model, None).claims:
        claim = loaded.claim
        evidence = claim.witness if isinstance(claim, SatClaim) else loaded.guidance
        if evidence is not None and "property" in loaded.sources:
            yield loaded.sources["property"], evidence


def _parts(questions: Questions, answers: Iterable[Answer]) -> Iterator[list[Answer]]:
    """The answers in parts of which each fits a bundle."""
    part: list[Answer] = []
    text = 0
    most = max(1, min(MOST_CLAIMS, MOST_VALUES // questions.network.graph.n_inputs))
    for answer in answers:
        own = (
            0
            if not isinstance(answer.evidence, tuple)
            else sum(len(exact_text(x)) + 8 for x in answer.evidence)
        )
        if part and (len(part) == most or text + own > MAX_MANIFEST_BYTES // 2):
            yield part
            part, text = [], 0
        part.append(answer)
        text += own
    if part:
        yield part


def _cell(text: str) -> str:
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(c in text for c in '",\n') else text
