"""One instance of the competition, handed to ``tlcheck vnnlib verify`` and its answer written as the rules want it.

Needs only the standard library. The results file appears complete or not at all: its first line is sat, unsat, unknown,
timeout or error; after sat comes the counterexample, in the format of the query's own VNN-LIB version. Numbers are
copied as text, so the file holds the very decimals that were certified.

    instance.py prepare CATEGORY                                exit status 0: supported, and tlcheck starts
    instance.py run CATEGORY ONNX VNNLIB RESULTS_FILE TIMEOUT   exit status 0: RESULTS_FILE is written

ONNX is a path, or, where a query has several networks, the competition's list ``[('f', 'f.onnx'), ('g', 'g.onnx')]``.
"""

from __future__ import annotations

import ast
import csv
import filecmp
import gzip
import hashlib
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORDS = {"sat": "sat", "unsat": "unsat", "unknown": "unknown", "timed-out": "timeout"}
"""What the solver answers, and the competition's word for it."""
GRACE = 5.0
"""Seconds that an interrupted tlcheck has to end its processes."""

Networks = list[tuple[str, str]]
"""(name in the query, path)"""


def main(arguments: list[str]) -> int:
    match arguments:
        case ["prepare", category]:
            return prepare(category)
        case ["run", category, onnx, query, results, timeout]:
            return run(category, onnx, query, Path(results), timeout)
    sys.stderr.write(__doc__ or "")
    return 2


def prepare(category: str) -> int:
    if options(category) is None:
        return 1
    try:
        return subprocess.run([solver(), "--version"], stdout=subprocess.DEVNULL, check=False).returncode
    except OSError as error:
        return complain(f"not installed: {error}")


def run(category: str, onnx: str, query: str, results: Path, timeout: str) -> int:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", timeout) or float(timeout) == 0:
        return complain(f"not a number of seconds: {timeout!r}", status=2)
    if not results.parent.is_dir() or (results.exists() and not results.is_file()):
        return complain(f"cannot be written: {results}", status=2)
    try:
        text = answer(category, onnx, query, float(timeout), beside(results))
    except (OSError, ValueError, EOFError, zlib.error) as error:  # the last two: of a gzip file cut short
        complain(str(error))
        text = "error\n"
    write(results, text)
    return 0


def beside(results: Path) -> Path:
    """Where what shows the answer is kept, a bundle for ``tlcheck verify``: RESULTS_FILE with .tlcert at its end."""
    return results.with_name(results.name + ".tlcert")


def answer(category: str, onnx: str, query: str, timeout: float, proof: Path) -> str:
    """The content of the results file; ``proof`` is written too, where one network is asked about.

    Raises OSError, ValueError, EOFError or zlib.error: there is no answer.
    """
    text = without_comments(query)
    found = networks(onnx, text)
    proof.unlink(missing_ok=True)  # of an earlier run
    command = [solver(), "vnnlib", "verify", query, "--timeout", f"{timeout:g}", "--proof-out", str(proof)]
    command += options(category) or []
    for name, path in solved(found, text):
        command += ["--network", f"{name}={path}"]
    command += evidence(category, found, query)
    output = solve(command, timeout)
    word, _, assignment = output.partition("\n")
    if word.strip() not in WORDS:
        raise ValueError(f"no answer but {word[:60]!r}")
    if word.strip() != "sat":
        return WORDS[word.strip()] + "\n"
    return "sat\n" + (assignment if is_version_2(text) else as_pairs(assignment))


def solver() -> str:
    installed = Path(os.environ.get("TLCHECK_VENV", HERE.parent / "build" / "vnncomp")) / "bin" / "tlcheck"
    return os.environ.get("TLCHECK") or (str(installed) if installed.exists() else "tlcheck")


def solve(command: list[str], timeout: float) -> str:
    """What the solver prints; ``timed-out`` where it does not end by itself. No process is left behind."""
    begun, interrupts = False, list[int]()

    def interrupt(number: int, _: object) -> None:
        interrupts.append(number)
        if begun:  # sooner, there may be a process that nobody could stop: it ends below
            sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, interrupt)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            begun = True
            if interrupts:
                sys.exit(128 + interrupts[0])
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            output = "timed-out\n"
        finally:
            stop(process)
    refused = process.returncode == 3 and output.startswith("unknown\n")  # what tlcheck does not support
    if output != "timed-out\n" and process.returncode != 0 and not refused:
        raise ValueError(f"{Path(command[0]).name} ended with status {process.returncode}")
    return output


def stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()


def write(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def options(category: str) -> list[str] | None:
    """Options of ``tlcheck vnnlib verify`` for a category; None where it is not supported. ``*``: any other name."""
    with (HERE / "categories.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["name"]: row for row in csv.DictReader(stream)}
    row = rows.get(category, rows["*"])
    if row["supported"] != "yes":
        complain(f"category {category}: {row['notes']}")
        return None
    return row["options"].split()


# The query and its networks.


def without_comments(query: str) -> str:
    data = Path(query).read_bytes()
    text = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode()
    return re.sub(r";[^\n]*", "", text)


def is_version_2(text: str) -> bool:
    return re.match(r"\s*\(\s*vnnlib-version\s*<\s*2", text) is not None


def networks(onnx: str, text: str) -> Networks:
    """A list as the competition writes it, or one path: the network that the query declares first."""
    if not onnx.lstrip().startswith("["):
        declared = re.search(r"\(\s*declare-network\s+([^\s()]+)", text)
        return [(declared[1] if declared else "N", onnx)]
    try:
        found = ast.literal_eval(onnx)
    except SyntaxError as error:
        raise ValueError(f"not a list of networks: {onnx!r}") from error
    if not found or any(
        not (
            isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(word, str) for word in pair)
        )
        for pair in found
    ):
        raise ValueError(f"not a list of networks: {onnx!r}")
    return [(name, path) for name, path in found]


def solved(found: Networks, text: str) -> Iterator[tuple[str, str]]:
    """Those that the solver wants: not the ones that are ``equal-to`` another, which must have that one's file."""
    equal = dict(re.findall(r"\(\s*declare-network\s+([^\s()]+)\s*\(\s*equal-to\s+([^\s()]+)", text))
    paths = dict(found)
    for name, path in found:
        if name not in equal:
            yield name, path
        elif not same_network(path, paths.get(equal[name], path)):
            raise ValueError(
                f"network {name} is declared equal to {equal[name]} but has another file: {path}"
            )


def same_network(a: str, b: str) -> bool:
    """One file, or two of the same bytes that keep no weights in other files ("location" is where those would be named)."""
    if os.path.samefile(a, b):
        return True
    data = Path(a).read_bytes()
    plain = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    return filecmp.cmp(a, b, shallow=False) and b"location" not in plain


# Evidence at hand.


def evidence(category: str, found: Networks, query: str) -> list[str]:
    """``--certificate`` and ``--witness`` for the instance, from the folder TLCHECK_CERTIFICATES.

    By name: ``NETWORK_PROPERTY`` with ``.tlcert`` (or a dump folder of that name) and ``.counterexample`` (or ``.gz``), in
    the category's own folder first; else a certificate made from exactly these files, by SHA-256.
    """
    folder = os.environ.get("TLCHECK_CERTIFICATES")
    if not folder:
        return []
    network = stem(found[0][1]) if len(found) == 1 else "_".join(name for name, _ in found)
    name = f"{network}_{stem(query)}"
    places = [Path(folder) / category, Path(folder)]
    result = []
    proofs = [p / f for p in places for f in (f"{name}.tlcert", name)]
    proof = next((p for p in proofs if p.exists()), None) or by_content(folder, found, query)
    if proof is not None:
        result += ["--certificate", str(proof)]
    witnesses = [
        p / f"{name}{suffix}" for p in places for suffix in (".counterexample", ".counterexample.gz")
    ]
    witness = next((p for p in witnesses if p.is_file()), None)
    return result + (["--witness", str(witness)] if witness is not None else [])


def by_content(folder: str, found: Networks, query: str) -> Path | None:
    hashes = [hashlib.sha256(Path(p).read_bytes()).hexdigest() for p in (query, *(path for _, path in found))]
    for path in sorted(Path(folder).rglob("*")):
        if path.name in ("manifest.json", "certificate.json") or path.suffix == ".tlcert":
            manifest = manifest_at(path)
            if manifest is not None and all(digest in manifest for digest in hashes):
                return path if path.suffix == ".tlcert" else path.parent
    return None


def manifest_at(path: Path) -> str | None:
    """The text that names a certificate's files; None where ``path`` is a folder, or not readable."""
    try:
        if path.suffix != ".tlcert":
            return path.read_text("utf-8", "replace")
        with zipfile.ZipFile(path) as bundle:
            return bundle.read("manifest.json").decode("utf-8", "replace")
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error):
        return None


def stem(path: str) -> str:
    """``a/b.onnx.gz`` is b, as the competition names results."""
    return re.sub(r"\.(onnx|vnnlib)$", "", re.sub(r"\.gz$", "", Path(path).name))


# The counterexample of VNN-LIB 1.0.


def as_pairs(assignment: str) -> str:
    """``X real [2]`` and its values to ``((X_0 v)\\n(X_1 v)``..: the same decimals, inputs first, in order."""
    given: dict[str, list[str]] = {"X": [], "Y": []}
    lines = iter(assignment.split("\n"))
    for line in filter(str.strip, lines):
        header = re.fullmatch(r"\s*([XY])(?:_([0-9]+))?\s+\S+\s+\[([0-9, ]*)\]\s*", line)
        if header is None:
            raise ValueError(f"not the header of a variable X or Y: {line[:60]!r}")
        kind, index, dims = header.groups()
        if index is not None and int(index) != len(given[kind]):
            raise ValueError(f"variable {kind}_{index} out of order")
        count = math.prod(int(n) for n in dims.split(",")) if dims.strip() else 1
        given[kind] += [next(lines, "").strip() for _ in range(count)]
    pairs = [(f"{kind}_{i}", value) for kind in "XY" for i, value in enumerate(given[kind])]
    if any(not re.fullmatch(r"[-+0-9.eE]+", value) for _, value in pairs) or not given["X"]:
        raise ValueError("the assignment is not complete")
    return "(" + "\n".join(f"({name} {value})" for name, value in pairs) + ")\n"


def complain(message: str, status: int = 1) -> int:
    sys.stderr.write(f"tlcheck: {message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
