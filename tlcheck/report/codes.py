"""Reason codes: the table behind ``tlcheck explain CODE``.

TLC0xx: verdict reasons. TLC1xx: certificates. TLC2xx: models. TLC3xx: properties. TLC4xx: limits and files.
TLC5xx: data sets, and packages that are not installed. TLC9xx: internal.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    title: str
    explanation: str


CODES: dict[str, Code] = {
    "TLC001": Code(
        "proved", "Every leaf's rigorous lower bound is strictly positive and the leaves cover the region."
    ),
    "TLC002": Code(
        "witness holds",
        "The point lies in the input region and every constraint holds there, evaluated exactly.",
    ),
    "TLC010": Code(
        "leaf not proved",
        "The rigorous lower bound of at least one leaf is not above zero. The proof may have been true only in the "
        "producer's float32 arithmetic; split that leaf once more or raise the producer's threshold by about 1e-4.",
    ),
    "TLC011": Code(
        "witness does not hold",
        "The enclosure of at least one constraint at the witness is on the wrong side of its bound.",
    ),
    "TLC012": Code("undecided at this precision", "An enclosure straddles its bound. Raise --precision."),
    "TLC013": Code(
        "bounds overflow", "A bound left the range in which float64 error bounds are proved; try --arith arb."
    ),
    "TLC014": Code(
        "refuted",
        "The claim is false: a witness point inside the region satisfies the negated claim, evaluated exactly.",
    ),
    "TLC015": Code(
        "stopped early", "The time limit or an interrupt ended the check before every leaf was decided."
    ),
    "TLC016": Code(
        "deployed margin not positive",
        "Proved over the reals, but float32 rounding can eat the margin under --semantics deployed.",
    ),
    "TLC017": Code(
        "cover incomplete", "The leaves do not cover the region: a branch of the proof is missing."
    ),
    "TLC018": Code(
        "contested", "Tools give opposite answers to this instance, and no certified evidence settles it."
    ),
    "TLC019": Code(
        "open", "No certified evidence settles this instance, and no two tools contradict each other."
    ),
    "TLC020": Code("conditions proved", "Every condition of the claim is proved, with zero tolerance."),
    "TLC021": Code(
        "a condition is false",
        "At least one condition of the claim is certainly violated; the report names it and by how much.",
    ),
    "TLC022": Code(
        "a condition is not established",
        "At least one condition is not proved; the report names it and where. If it is a hypothesis on the claim's own numbers "
        "(a level, a decay, the equilibrium), correct the claim. If its slack straddles zero by a tiny amount, raise --precision. "
        "Else, if the claim comes with a cover (cells of a PINN claim, leaves of a stability claim), that is too coarse there: find "
        "it again with more cells or leaves. If it has none (margins, output boxes, node bounds), the bounds that tlcheck computes "
        "do not reach: claim less (a smaller eps, a wider box), or ask the same as a query: `tlcheck certify NET.onnx "
        "QUERY.vnnlib -o X.tlcert` searches for a proof.",
    ),
    "TLC023": Code(
        "no answer found",
        "Neither a proof nor a witness was found in the time given. Give more --timeout; --resume goes on from where a run "
        "stopped; another tool's evidence helps with --from.",
    ),
    "TLC101": Code("malformed certificate", "The certificate's structure is not that of its format."),
    "TLC102": Code(
        "unknown certificate format",
        "No reader recognises this file or folder as a certificate, or it says by a mistyped `format` that it is one. `tlcheck formats` "
        "lists what is read. A network or a query alone claims nothing: `tlcheck certify NET.onnx QUERY.vnnlib -o X.tlcert` "
        "makes a certificate of the answer to a query. A verifier's log proves nothing.",
    ),
    "TLC103": Code("hash mismatch", "A file's SHA-256 is not the one the certificate was made for."),
    "TLC104": Code(
        "wrong model", "The certificate speaks of layers or neurons that the model does not have."
    ),
    "TLC105": Code(
        "malformed array", "An array of the certificate has the wrong shape, type or non-finite values."
    ),
    "TLC106": Code(
        "malformed JSON",
        "Not strict JSON: it does not parse, or it has a duplicate key, NaN, a number out of range, or too deep a nesting.",
    ),
    "TLC110": Code(
        "passed over, under --strict",
        "The folder holds a file that is no certificate and that no certificate checked in this run was read from. Take it out of "
        "the folder, or check without --strict: it is then only counted (-v names it).",
    ),
    "TLC111": Code(
        "a claim is missing",
        "The lock file given with --expect has a claim that no certificate of this run makes: a certificate was removed, renamed, "
        "damaged, or not named on the command line. If that is meant, write the lock file anew with `tlcheck lock`.",
    ),
    "TLC112": Code(
        "a claim is changed",
        "A claim of the lock file given with --expect has another kind, statement, model, property or artifact than when the lock "
        "file was written. If that is meant, write it anew with `tlcheck lock`.",
    ),
    "TLC113": Code(
        "a claim is new, under --strict",
        "A certificate makes a claim that the lock file given with --expect does not have. Write it anew with `tlcheck lock`.",
    ),
    "TLC201": Code("malformed model", "The file is not a well-formed model."),
    "TLC202": Code(
        "unsupported operator",
        "The model uses an operator, attribute or type that tlcheck has no exact rule for.",
    ),
    "TLC203": Code("non-finite weight", "A weight is NaN or infinite: the network denotes no real function."),
    "TLC204": Code("shape error", "Shapes in the model do not agree."),
    "TLC205": Code(
        "external data that is not beside the model",
        "Weights in a file of their own are read from the folder of the model that names them (in a bundle: from the bundle), by a "
        "plain name, and from nowhere else. The report names the SHA-256 of each such file.",
    ),
    "TLC301": Code("malformed property", "The property file does not parse."),
    "TLC302": Code(
        "unsupported property",
        "The property is not a boolean combination of linear constraints over declared variables.",
    ),
    "TLC303": Code(
        "property does not fit the model",
        "Number, shape or type of the property's variables differ from the model's.",
    ),
    "TLC304": Code("unbounded input", "An input variable has no finite lower or upper bound."),
    "TLC401": Code(
        "too large", "A size exceeds tlcheck's limit (tlcheck/limits.py gives each limit's reason)."
    ),
    "TLC402": Code(
        "no such file",
        "The file or folder does not exist, cannot be read, or lies in a folder that may not be entered.",
    ),
    "TLC403": Code("truncated or corrupt file", "The file ends early or its compression is corrupt."),
    "TLC404": Code(
        "not a file's name",
        "A file's name has a folder where only a name may stand, two paths of one artifact end alike, or a path leaves its folder.",
    ),
    "TLC501": Code(
        "malformed data set",
        "The data set, its labels or a template of properties is not what its format says.",
    ),
    "TLC502": Code(
        "data that can mean two things",
        "Which values go in, in which order and unit, or which class a label is, can be read in two ways; the message names the "
        "option that says it. Nothing is guessed.",
    ),
    "TLC503": Code(
        "data that do not fit the network", "Number, range or labels of the samples are not the network's."
    ),
    "TLC504": Code(
        "a package is missing", "What this needs is an optional package; the message says how to install it."
    ),
    "TLC505": Code(
        "no engine for the device",
        "Nothing is installed that searches for proofs there; --device cpu always works.",
    ),
    "TLC506": Code(
        "no kernels",
        "`--arith directed` and `tlcheck kernels` need a C compiler whose code rounds as it is told: gcc or clang, or what CC names. "
        "Every other --arith works without.",
    ),
    "TLC901": Code("internal error", "A bug in tlcheck. Please report it with the input."),
    "TLC902": Code(
        "engines disagree",
        "Two arithmetic engines gave disjoint enclosures: an internal error, never a verdict.",
    ),
}
