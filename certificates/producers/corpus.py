"""Make the corpus: ``python certificates/producers/corpus.py`` (``make corpus``).

Writes every case of accept/, reject/, undecided/, malformed/ and regressions/ in the folder above, from
``trained.safetensors`` and ``proofs.safetensors`` alone, byte for byte the same on every machine. Folders that it did not
make are left alone and named.

    --output FOLDER   write there instead
    --check           write nothing; exit 1 and name what differs from the files that are there
    --prove           first search the proofs anew, with tlcheck's prover (gives other proofs, so another corpus)
    --train           first train the models anew (needs scikit-learn; gives other weights, so another corpus)
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
GROUPS = ("accept", "reject", "undecided", "malformed", "regressions")
FAMILIES = (
    "spline_cases",
    "camera_cases",
    "corridor_cases",
    "lyapunov_cases",
    "pinn_cases",
    "network_cases",
    "stability_cases",
    "pinn_domain_cases",
    "key_cases",
    "gate_cases",
    "margin_cases",
    "conformance_cases",
    "point_cases",
    "strict_cases",
    "operator_cases",
    "pair_cases",
    "quantized_cases",
)
"""Cases of one family of claims, of every group."""


def make(root: Path) -> list[str]:
    """Write every case under ``root``; "group/name" of each."""
    from importlib import import_module

    names = []
    for group in (*GROUPS, *FAMILIES):
        for case in import_module(group).cases():
            case.write(root)
            names.append(f"{case.group}/{case.name}")
    if len(set(names)) != len(names):
        raise ValueError("two cases of one name")
    return names


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def differences(made: Path, there: Path, names: list[str]) -> Iterator[str]:
    """Each file of a case that is missing, extra or different."""
    for name in names:
        new, old = files_of(made / name), files_of(there / name)
        for file in sorted(new.keys() | old.keys()):
            if new.get(file) != old.get(file):
                yield f"{name}/{file}"


def others(root: Path, names: list[str]) -> list[str]:
    """Cases that are there and were not made here."""
    made = set(names)
    found = [
        f"{group}/{p.name}"
        for group in GROUPS
        if (root / group).is_dir()
        for p in sorted((root / group).iterdir())
        if p.is_dir()
    ]
    return [name for name in found if name not in made]


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def arguments() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=HERE.parent)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--prove", action="store_true")
    parser.add_argument("--train", action="store_true")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    sys.path[:0] = [str(HERE), str(HERE.parents[1])]  # the producers are scripts, not a package
    if options.train:
        from train import main as train

        for name, score in train().items():
            say(f"{name}: {score:.4f}")
    from prove import KEPT, proofs

    proofs().anew = options.prove or options.train
    if not options.check:
        names = make(options.output)
        KEPT.write_bytes(proofs().packed())
        say(f"{len(names)} cases written")
        for name in others(options.output, names):
            say(f"not made here, left alone: {name}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        names = make(Path(folder))
        different = list(differences(Path(folder), options.output, names))
    for name in different:
        say(f"differs: {name}")
    say(f"{len(names)} cases, {len(different)} files differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
