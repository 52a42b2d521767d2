"""A run: the questions are written, answered in parallel, put into bundles, and every claim of the bundles is checked again.

What the report calls certified is what the check of the written file certified; an answer that it does not confirm is
undecided, and its claim is taken out of the bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tlcheck import timer
from tlcheck.checking.lock import lock_text, locked
from tlcheck.checking.pool import work_through
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.bundle.read import Claims, read_bundle
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.runtime_profile import DEFAULT, chosen_profile
from tlcheck.report.record import ClaimRead
from tlcheck.robust.answer import UNDECIDED, Answer, Worker, lost
from tlcheck.robust.folder import LOCK, REPORT, Folder
from tlcheck.robust.questions import Questions
from tlcheck.robust.report import Report, json_text, markdown
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import decide, statement_of

Tell = Callable[[str, int, int, str], None]
"""Called with (stage, done, total, what was done last)."""


@dataclass(frozen=True)
class Limits:
    """``seconds`` for each sample; ``jobs`` 0: one process per core."""

    seconds: float
    jobs: int = 0
    semantics: str = "real"
    profile: str = DEFAULT


def run(questions: Questions, folder: Folder, limits: Limits, tell: Tell, *, resume: bool = False) -> Report:
    """Answer the questions into ``folder``. Raises InvalidInput TLC402: nothing can be written there."""
    start = timer.now()
    chosen_profile(limits.profile)  # it can be read, before anything is written
    for k in range(questions.count):
        questions.scaled(
            k
        )  # every sample fits, and the first question can be read, before anything is written
    questions.query(0, _first_file(questions))
    folder.begin(resume=resume)
    earlier, notes = folder.earlier(questions) if resume else ({}, [])
    folder.write_queries(questions, limits.seconds)
    jobs = limits.jobs if questions.count == 1 else 1  # else the processes are shared among the samples
    worker = Worker(questions, limits.seconds, limits.semantics, limits.profile, earlier, jobs)
    answers: dict[int, Answer] = {}
    for k, answer in work_through([[k] for k in range(questions.count)], worker.answer, lost, limits.jobs):
        answers[k] = answer
        folder.keep(questions, answer)
        tell("inputs", len(answers), questions.count, questions.name(k))
    final = confirmed(questions, folder, [answers[k] for k in sorted(answers)], limits, tell)
    report = Report(
        questions,
        tuple(final),
        limits.semantics,
        limits.profile,
        limits.seconds,
        timer.now() - start,
        tuple(notes),
    )
    for name, text in zip(REPORT, (markdown(report), json_text(report)), strict=True):
        folder.write(name, text.encode("utf-8", "backslashreplace"))
    folder.end()
    return report


def _first_file(questions: Questions) -> str:
    template = questions.template
    return f"{template.file}, filled for {questions.samples.names[0]}" if template else questions.file(0)


def confirmed(
    questions: Questions, folder: Folder, answers: Sequence[Answer], limits: Limits, tell: Tell
) -> list[Answer]:
    """The answers whose claims, as the written bundles have them, are CERTIFIED; the others undecided, and written anew."""
    final = {answer.sample: answer for answer in answers}
    while True:
        written = folder.write_bundles(questions, [final[k] for k in sorted(final)])
        items = [(path, k) for path, part in written for k in range(len(part))]
        sample = {(path, k): answer.sample for path, part in written for k, answer in enumerate(part)}
        check = Confirm(limits.semantics, limits.profile)
        claims, failed = [], 0
        for done, (item, (read, problem)) in enumerate(
            work_through([[item] for item in items], check.one, unconfirmed, limits.jobs), 1
        ):
            tell("claims checked again", done, len(items), questions.name(sample[item]))
            if read is not None:
                claims.append((item[0], read))
            if problem:
                failed += 1
                final[sample[item]] = Answer(
                    sample[item], UNDECIDED, problem, clean=final[sample[item]].clean
                )
        if not failed:
            _write_lock(folder, claims)
            return [final[k] for k in sorted(final)]


def _write_lock(folder: Folder, claims: Sequence[tuple[Path, ClaimRead]]) -> None:
    if claims:
        folder.write(LOCK, lock_text(locked(claims, folder.path)).encode())
    else:
        (folder.path / LOCK).unlink(missing_ok=True)


Confirmed = tuple[ClaimRead | None, str]
"""(the claim as it was read, why it is not CERTIFIED or "")."""


@dataclass(eq=False)
class Confirm:
    """Checks claims of written bundles, each as `tlcheck verify` does."""

    semantics: str
    profile: str
    _open: dict[Path, Claims] = field(default_factory=dict)

    def one(self, item: tuple[Path, int]) -> Confirmed:
        path, k = item
        try:
            if path not in self._open:
                self._open = {path: read_bundle(path, None, None).claims}
            loaded = self._open[path][k]
            read = ClaimRead(loaded.name, loaded.claim.kind, statement_of(loaded.claim), dict(loaded.sources))
            result = decide(loaded, Options(jobs=1, semantics=self._semantics(loaded), profile=self.profile))
        except InvalidInput as error:
            return None, f"not certified when its bundle was read again: {error.line()}"
        if result.verdict is Verdict.CERTIFIED:
            return read, ""
        return read, f"not certified when its bundle was read again: {result.reason.message}"

    def _semantics(self, loaded: LoadedClaim) -> str:
        """A counterexample is one of the real function."""
        return "real" if loaded.claim.kind == "sat" else self.semantics


def unconfirmed(_: tuple[Path, int]) -> Confirmed:
    return None, lost(0).reason
