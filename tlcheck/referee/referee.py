"""A competition's results, refereed: every witness ruled on, every certificate checked, every instance settled or not.

What settles an instance is a certified fact about its very network and property, each compared by SHA-256: a witness
that holds in exact arithmetic (``sat``; moved into its region if it lies outside by rounding) or a certificate whose
claim is CERTIFIED (``sat`` or ``unsat``) and about the very graph and query that these files are read to: a hash says
which bytes a certificate had, not what it took them for. Tools' answers are counted and compared with such facts, never believed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from tlcheck import timer
from tlcheck.checking.pool import work_through
from tlcheck.errors import InvalidInput
from tlcheck.keys import graph_key, lasting_key, query_key
from tlcheck.limits import MAX_PROPERTY_BYTES
from tlcheck.options import Options
from tlcheck.prover.regions import Regions
from tlcheck.readers.bytes import read_bytes, sha256_hex
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.vnnlib.read import read_property
from tlcheck.readers.vnnlib.witness import MAX_WITNESS_BYTES
from tlcheck.referee.benchmarks import Benchmarks, Instance
from tlcheck.referee.findings import (
    SCHEMA_VERSION,
    VERDICTS,
    AnswerOut,
    BenchmarkOut,
    CensusOut,
    CertificateOut,
    Contradiction,
    Evidence,
    InstanceOut,
    RefereeOut,
    ToolOut,
    Verdict,
)
from tlcheck.referee.index import KILLED, census
from tlcheck.referee.results import Answer, InstanceName, shown
from tlcheck.referee.rulings import Store
from tlcheck.referee.witness import Model, Ruling, load_regions, rule_bytes, unreadable
from tlcheck.runtime.ort import devices
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.query import Query
from tlcheck.verify import decide, discover, load

BATCH: Final = 16
"""Most witnesses that a process takes at a time: what it shares between them is the network and the property."""
Content: TypeAlias = tuple[str, str]
"""SHA-256 of a network and of a property, unpacked."""
Place: TypeAlias = tuple[InstanceName, Path]
"""An instance and a witness file for it: one file may be named for several instances, and says another thing of each."""
NOT_JUDGED: Final = Ruling("unsupported", "TLC015", "stopped before this witness was judged").row()
OPPOSITE: Final[dict[str, Literal["sat", "unsat"]]] = {"sat": "unsat", "unsat": "sat"}


@dataclass(frozen=True)
class Choices:
    """``jobs`` 0: one process per core. ``seconds``: for the whole run (None: no limit); ``witness_seconds``: for one
    witness. ``options``: how certificates are checked."""

    jobs: int = 0
    seconds: float | None = None
    witness_seconds: float | None = None
    options: Options = field(default_factory=Options)


@dataclass(frozen=True)
class Step:
    """How far a run is: ``done`` of ``total`` pieces of evidence; ``what`` is the last one."""

    done: int
    total: int
    what: str
    ruling: str


# One witness, in a worker.


@dataclass(frozen=True)
class Task:
    """A witness file with the hash of its content, and the files it speaks of with theirs."""

    network: Path
    property: Path
    witness: Path
    key: str
    hashes: tuple[str, str, str]
    seconds: float | None


@lru_cache(maxsize=2)
def _model(path: Path, _sha256: str) -> Model:
    return Model(path)


@lru_cache(maxsize=16)
def _regions(path: Path, network: Path, hashes: tuple[str, str]) -> Regions:
    return load_regions(path, _model(network, hashes[0]))


class OutOfTime(Exception):
    """The time for one witness is over."""


def judge(task: Task) -> dict[str, Any]:
    """The ruling's row. What was read must be what was hashed: a file that changed meanwhile is unsupported."""
    network, query, _ = task.hashes
    try:
        with timer.alarm(task.seconds, OutOfTime):
            model = _model(task.network, network)
            regions = _regions(task.property, task.network, (network, query))
            content = read_bytes(task.witness, limit=MAX_WITNESS_BYTES)
            if (model.identity, regions.sha256, sha256_hex(content)) != task.hashes:
                raise InvalidInput("TLC402", "a file changed while it was judged", file=str(task.witness))
            ruling = rule_bytes(model, regions, content, task.witness.name)
    except InvalidInput as error:
        ruling = Ruling("unsupported", error.code, error.line())
    except OutOfTime:
        ruling = Ruling("unsupported", "TLC015", f"stopped at the time limit of {task.seconds:g} s")
    except MemoryError:
        ruling = Ruling("unsupported", "TLC401", "out of memory")
    except Exception as error:  # noqa: BLE001  (a bug on one witness is reported as such and does not hide the others)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        ruling = Ruling("unsupported", "TLC901", what)
    return ruling.row()


def _lost(task: Task) -> dict[str, Any]:
    return Ruling("unsupported", "TLC901", KILLED).row()


# All of them.


@dataclass(eq=False)
class Referee:
    """One run. ``rulings``: by (instance, witness file). Nothing is judged twice: equal bytes share a ruling."""

    answers: Sequence[Answer]
    benchmarks: Benchmarks
    certificates: Sequence[Path]
    store: Store
    choices: Choices
    results: str = ""
    root: Path = Path()
    notes: list[str] = field(default_factory=list)
    reused: int = 0
    complete: bool = True
    _start: float = field(default_factory=lambda: timer.now())

    def __post_init__(self) -> None:
        self._by_name: dict[InstanceName, list[Answer]] = defaultdict(list)
        for answer in self.answers:
            self._by_name[answer.instance].append(answer)
        self._rows: dict[Place, dict[str, Any]] = {}
        self._hash: dict[Path, str] = {}
        self._of_key: dict[str, list[Place]] = defaultdict(list)
        self._found: dict[InstanceName, Instance] = {}
        self._proofs: dict[Content, list[CertificateOut]] = defaultdict(list)
        self._meaning: dict[Content, Content] = {}
        self._sat: dict[Content, list[str]] = {}
        # A certificate may name a file by its bytes as stored, or unpacked.
        self._of_network: dict[str, set[Content]] = defaultdict(set)
        self._of_property: dict[str, set[str]] = defaultdict(set)
        self._files: dict[Content, Instance] = {}
        self._asked: dict[Content, tuple[str, str] | None] = {}

    def run(self, report: Callable[[Step], None] | None = None) -> RefereeOut:
        """Judge all evidence, then settle every instance. Raises InvalidInput for folders that cannot be read."""
        self._found = {name: self.benchmarks.find(name) for name in sorted(self._by_name)}
        for found in self._found.values():
            if found.network is not None and found.property is not None:
                pair = (found.network.sha256, found.property.sha256)
                for h in found.network.named:
                    self._of_network[h].add(pair)
                self._of_property[pair[1]] |= found.property.named
                self._files[pair] = found
        tasks = self._tasks()
        files = [path for folder in self.certificates for path in discover(folder)]
        total = len(self._rows) + len(tasks) + len(files)  # equal witnesses count once
        done = len(self._rows)
        for task, row in work_through(_batches(tasks), judge, _lost, self.choices.jobs):
            for place in self._of_key[task.key]:
                self._rows[place] = row
            if row["code"] not in ("TLC015", "TLC401", "TLC901"):  # those may go otherwise another time
                self.store.put(task.key, row)
            done += 1
            if report is not None:
                report(Step(done, total, task.witness.name, row["ruling"]))
            if self._out_of_time():
                break
        for path in files:
            if self._out_of_time():
                break
            self._check(path)
            done += 1
            if report is not None:
                report(Step(done, total, path.name, "certificate"))
        return self._report()

    def _out_of_time(self) -> bool:
        limit = self.choices.seconds
        if limit is not None and timer.now() - self._start > limit:
            self.complete = False
        return not self.complete

    def _tasks(self) -> list[Task]:
        """What is left to judge; files without content to judge, and equal content judged before, have their rows."""
        tasks = []
        there = devices()
        for name, answers in sorted(self._by_name.items()):
            found = self._found[name]
            for witness in dict.fromkeys(a.witness for a in answers if a.witness is not None):
                place = (name, witness)
                try:
                    self._hash[witness] = sha256_hex(read_bytes(witness, limit=MAX_WITNESS_BYTES))
                except InvalidInput as error:
                    self._rows[place] = unreadable(error).row()
                    continue
                if found.network is None or found.property is None:
                    code, reason = found.problem or ("TLC402", "no such file")
                    self._rows[place] = Ruling("unsupported", code, reason).row()
                    continue
                hashes = (found.network.sha256, found.property.sha256, self._hash[witness])
                network, query, point = hashes
                key = lasting_key("ruling", {"network": network, "property": query, "witness": point}, there)
                known = self._stored(key)
                if known is not None:
                    self._rows[place] = known
                    self.reused += 1
                    continue
                self._of_key[key].append(place)
                if len(self._of_key[key]) == 1:
                    seconds = self.choices.witness_seconds
                    tasks.append(Task(found.network.path, found.property.path, witness, key, hashes, seconds))
        return tasks

    def _stored(self, key: str) -> dict[str, Any] | None:
        """The ruling of an earlier run; a line of the store that is none is passed over."""
        row = self.store.get(key)
        if not isinstance(row, dict):
            return None
        try:
            msgspec.json.encode(msgspec.convert({"file": "", "sha256": "", **row}, Evidence))
            census([row])
        except (AttributeError, KeyError, TypeError, ValueError, msgspec.MsgspecError):
            return None
        return row

    def _check(self, path: Path) -> None:
        """Decide a certificate's claims; each counts for the instances that it is about."""
        try:
            loaded = load(path, self.choices.options)
            decided = [(item, decide(item, self.choices.options)) for item in loaded.items]
        except InvalidInput as error:
            self.notes.append(f"certificate {path.name}: {error.line()} [{error.code}]")
            return
        for item, claim in decided:
            margin = claim.bound.rigorous
            entry = CertificateOut(
                file=path.name,
                format=loaded.format,
                kind=claim.kind,
                verdict=claim.verdict.value,
                code=claim.reason.code,
                reason=claim.reason.message,
                margin=None if margin is None else margin.decimal,
            )
            bound = self._instances_of(item)
            for pair in bound:
                self._proofs[pair].append(entry)
            if not bound:
                self.notes.append(f"certificate {path.name}: about no instance of these results")

    def _instances_of(self, item: LoadedClaim) -> set[Content]:
        """The contents that the claim is about: its sources name their files, and its graph and query are theirs."""
        if not isinstance(item.claim, SatClaim | UnsatClaim):
            return set()
        hashes = set(item.sources.values())
        named = {pair for h in hashes for pair in self._of_network[h] if hashes & self._of_property[pair[1]]}
        about = (graph_key(item.claim.graph), query_key(item.claim.query))
        return {pair for pair in named if self._question(pair) == about}

    def _question(self, pair: Content) -> tuple[str, str] | None:
        """The keys of the graph and the query that these files are read to; None where they cannot be read."""
        if pair not in self._asked:
            self._asked[pair] = _question(self._files[pair])
        return self._asked[pair]

    # The report.

    def _report(self) -> RefereeOut:
        self._meaning = self._meanings()
        self._sat = self._proved_sat()
        instances = [self._instance(name, answers) for name, answers in self._by_name.items()]
        order = {"contested": 0}
        instances.sort(key=lambda i: (order.get(i.verdict, 1), i.benchmark, i.version, i.network, i.property))
        answered = [(i, a) for i in instances for a in i.answers]
        from tlcheck.versions import tool_versions

        return RefereeOut(
            schema_version=SCHEMA_VERSION,
            tool=tool_versions(),
            results=shown(self.results),
            complete=self.complete,
            verdicts=_counts(VERDICTS, (i.verdict for i in instances)),
            census=_census(self._rows.values()),
            tools=_tools(answered),
            benchmarks=_benchmarks(instances),
            contradictions=list(_contradictions(instances)),
            instances=instances,
            reused=self.reused,
            notes=self.notes,
            seconds=round(timer.now() - self._start, 3),
        )

    def _meanings(self) -> dict[Content, Content]:
        """One representative for contents that say the same: the same network, and properties that read to equal
        queries although their files differ (versions 1.0 and 2.0 of VNN-LIB)."""
        contents = {_content(found): found for found in self._found.values()}
        meaning = {content: content for content in contents}
        alike: dict[tuple[str, str], list[Content]] = defaultdict(list)
        for content, found in contents.items():
            if found.property is not None and found.name.version:
                stem = found.property.path.name.partition(".vnnlib")[0]
                alike[content[0], stem].append(content)
        for group in alike.values():
            if len(group) > 1:
                queries = {content: _query(contents[content]) for content in sorted(group)}
                for content, query in queries.items():
                    same = (other for other, q in queries.items() if query is not None and q == query)
                    meaning[content] = next(same, content)
        return meaning

    def _proved_sat(self) -> dict[Content, list[str]]:
        """By meaning: the witnesses and certificates that prove sat."""
        proved: dict[Content, list[str]] = defaultdict(list)
        for name, answers in self._by_name.items():
            content = _content(self._found[name])
            for witness in dict.fromkeys(a.witness for a in answers if a.witness is not None):
                row = self._rows.get((name, witness))
                if row is not None and row["settled"]:
                    proved[self._meaning[content]].append(self._file(witness))
        for content, proofs in self._proofs.items():
            files = [p.file for p in proofs if p.kind == "sat" and p.verdict == "CERTIFIED"]
            if files:
                proved[self._meaning[content]] += files
        return proved

    def _instance(self, name: InstanceName, answers: list[Answer]) -> InstanceOut:
        found = self._found[name]
        evidence = {a.witness: self._evidence(name, a.witness) for a in answers if a.witness is not None}
        content = _content(found)
        meaning = self._meaning.get(content, content)
        proofs = [p for same, group in self._proofs.items() if self._meaning[same] == meaning for p in group]
        by_sat = self._sat.get(meaning, [])
        by_unsat = [p.file for p in proofs if p.kind == "unsat" and p.verdict == "CERTIFIED"]
        if by_sat and by_unsat:
            raise RuntimeError(f"{name}: certified sat by {by_sat[0]} and unsat by {by_unsat[0]}")
        fact: Verdict | None = "sat" if by_sat else "unsat" if by_unsat else None
        verdict, code, reason = _settled(fact, by_sat or by_unsat, answers, found, list(evidence.values()))
        return InstanceOut(
            benchmark=name.benchmark,
            version=name.version,
            network=name.network,
            property=name.property,
            network_sha256=content[0],
            property_sha256=content[1],
            verdict=verdict,
            code=code,
            reason=reason,
            settled_by=by_sat or by_unsat,
            answers=[
                AnswerOut(
                    tool=a.tool,
                    result=a.result,
                    written=a.written,
                    seconds=a.seconds,
                    contradicted=fact is not None and a.result == OPPOSITE[fact],
                    witness=None if a.witness is None else evidence[a.witness],
                )
                for a in sorted(answers, key=lambda a: a.tool)
            ],
            certificates=proofs,
        )

    def _evidence(self, name: InstanceName, witness: Path) -> Evidence:
        row = self._rows.get((name, witness), NOT_JUDGED)
        named = {"file": self._file(witness), "sha256": self._hash.get(witness, "")}
        return msgspec.convert({**row, **named}, Evidence)

    def _file(self, witness: Path) -> str:
        inside = witness.is_relative_to(self.root)
        return shown(witness.relative_to(self.root).as_posix() if inside else witness.name)


def _content(found: Instance) -> Content:
    """The hashes of network and property; empty where there is no such file."""
    if found.network is None or found.property is None:
        return ("", "")
    return (found.network.sha256, found.property.sha256)


def _question(found: Instance) -> tuple[str, str] | None:
    """The keys of an instance's graph and query; None when they cannot be read, or are no longer what was hashed."""
    if found.network is None or found.property is None:
        return None
    try:
        model = Model(found.network.path)
        regions = load_regions(found.property.path, model)
    except InvalidInput:
        return None
    if model.evaluator is None or (model.identity, regions.sha256) != _content(found):
        return None
    return graph_key(model.evaluator.graph), query_key(regions.query)


def _query(found: Instance) -> Query | None:
    """What the property denotes; None when it cannot be read, or is no longer what was hashed."""
    if found.property is None:
        return None
    try:
        content = read_bytes(found.property.path, limit=MAX_PROPERTY_BYTES)
        same = sha256_hex(content) == found.property.sha256
        return read_property(content, n_inputs=None, n_outputs=None) if same else None
    except InvalidInput:
        return None


def _batches(tasks: list[Task]) -> list[list[Task]]:
    """Tasks of one network and property side by side; the largest networks first, so that none is left over."""
    sizes: dict[Path, int] = {}
    for task in tasks:
        if task.network not in sizes:
            sizes[task.network] = task.network.stat().st_size
    ordered = sorted(tasks, key=lambda t: (-sizes[t.network], str(t.network), str(t.property)))
    batches: list[list[Task]] = []
    for task in ordered:
        if not batches or len(batches[-1]) == BATCH or batches[-1][0].network != task.network:
            batches.append([])
        batches[-1].append(task)
    return batches


def _settled(
    fact: Verdict | None,
    by: list[str],
    answers: list[Answer],
    found: Instance,
    evidence: list[Evidence],
) -> tuple[Verdict, str, str]:
    """(verdict, code, reason) of an instance."""
    said = Counter(a.result for a in answers)
    if fact == "sat":
        return fact, "TLC002", f"proved by {by[0]}" + _more(by)
    if fact == "unsat":
        return fact, "TLC001", f"proved by {by[0]}" + _more(by)
    unjudged = [e for e in evidence if e.ruling == "unsupported"]
    problem = found.problem or next(((e.code, e.reason) for e in unjudged), None)
    if said["sat"] and said["unsat"]:
        why = f"sat say {said['sat']}, unsat {said['unsat']}; {_without(evidence)}"
        return "contested", "TLC018", why + (f"; {problem[1]}" if problem else "")
    if problem is not None:
        return "unsupported", problem[0], problem[1]
    if not said["sat"] and not said["unsat"]:
        return "open", "TLC019", "no tool has an answer"
    word: Literal["sat", "unsat"] = "sat" if said["sat"] else "unsat"
    return "open", "TLC019", f"all answers are {word} ({said[word]}); {_without(evidence)}"


def _more(files: list[str]) -> str:
    return f" and {len(files) - 1} more" if len(files) > 1 else ""


def _without(evidence: list[Evidence]) -> str:
    """Why no evidence settles it."""
    rulings = Counter(e.ruling for e in evidence)
    if rulings:
        return "witnesses: " + ", ".join(f"{n} {ruling}" for ruling, n in rulings.most_common())
    return "no witness and no certified proof"


def _counts(words: Iterable[str], values: Iterable[str]) -> dict[str, int]:
    """How often each word occurs, in the order of ``words``."""
    counts = Counter(values)
    return {word: counts[word] for word in words}


def _tools(answered: list[tuple[InstanceOut, AnswerOut]]) -> list[ToolOut]:
    by_tool: dict[str, list[tuple[InstanceOut, AnswerOut]]] = defaultdict(list)
    for instance, answer in answered:
        by_tool[answer.tool].append((instance, answer))
    return [_tool(tool, pairs) for tool, pairs in sorted(by_tool.items())]


def _tool(tool: str, pairs: list[tuple[InstanceOut, AnswerOut]]) -> ToolOut:
    answers = [a for _, a in pairs]
    return ToolOut(
        tool=tool,
        instances=len(pairs),
        answers=dict(Counter(a.result for a in answers).most_common()),
        rulings=dict(Counter(a.witness.ruling for a in answers if a.witness is not None).most_common()),
        without_witness=sum(a.result == "sat" and a.witness is None for a in answers),
        confirmed=sum(a.result == i.verdict for i, a in pairs),
        contradicted=sum(a.contradicted for a in answers),
    )


def _benchmarks(instances: list[InstanceOut]) -> list[BenchmarkOut]:
    by_name: dict[str, list[InstanceOut]] = defaultdict(list)
    for i in instances:
        by_name[i.benchmark].append(i)
    return [
        BenchmarkOut(
            benchmark=name,
            instances=len(group),
            verdicts=_counts(VERDICTS, (i.verdict for i in group)),
            contradicted=sum(a.contradicted for i in group for a in i.answers),
        )
        for name, group in sorted(by_name.items())
    ]


def _contradictions(instances: list[InstanceOut]) -> Iterator[Contradiction]:
    for position, i in enumerate(instances):
        for a in i.answers:
            if a.contradicted and i.verdict in OPPOSITE:
                yield Contradiction(
                    tool=a.tool,
                    instance=position,
                    benchmark=i.benchmark,
                    network=i.network,
                    property=i.property,
                    answer=OPPOSITE[i.verdict],
                    fact=OPPOSITE[OPPOSITE[i.verdict]],
                    evidence=i.settled_by[0],
                )


def _census(rows: Iterable[dict[str, Any]]) -> CensusOut:
    return msgspec.convert(census(list(rows)), CensusOut)
