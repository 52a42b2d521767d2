"""The tree of a run of α,β-CROWN, for `tlcheck certify MODEL PROPERTY --from tree.jsonl -o X.tlcert`.

Runs inside the verifier's own installation, with its own settings, and changes nothing of what it does:

    python tlcheck_abcrown.py -o tree.jsonl -- abcrown.py --config ... --onnx_path ... --vnnlib_path ...

Every domain that the verifier drops as verified becomes a line of tree.jsonl at once, so that a run that is killed leaves what
it had: the disjunct, and the splits that lead there (neurons), or the box (inputs). No bound, slope or multiplier is
written: tlcheck finds its own. The format is described in tlcheck's certificates/formats/tree.md.
Written for the release of December 2025 (auto_LiRPA of December 2025 and May 2026).
"""

import functools
import importlib
import itertools
import json
import math
import os
import runpy
import sys
import weakref

FORMAT = "tlcheck.tree/1"
USAGE = "usage: python tlcheck_abcrown.py -o tree.jsonl -- abcrown.py [arguments of abcrown.py]"
NOTE = "tlcheck_abcrown:"


# What is written: plain lists and numbers.


class Writer:
    """Lines of tree.jsonl. What leaves refer to is written when a leaf first does; a batch of leaves is flushed at once."""

    def __init__(self, stream, producer):
        self.stream = stream
        self.disjuncts, self.layers, self.point = {}, {}, None
        self.leaves, self.process = 0, os.getpid()
        self.line({"record": "tree", "format": FORMAT, "producer": producer})

    def line(self, record):
        self.stream.write(json.dumps(record, allow_nan=False) + "\n")

    def leaf(self, disjunct, **rest):
        self.line({"record": "leaf", "disjunct": disjunct, **rest})
        self.leaves += 1

    def disjunct(self, rows, thresholds):
        """The number of the disjunct that says: rows . y <= thresholds, for all rows (padding has thresholds of infinity)."""
        rows = [(tuple(row), t) for row, t in zip(rows, thresholds, strict=False) if math.isfinite(t)]
        key = tuple(rows)
        if key not in self.disjuncts:
            self.disjuncts[key] = len(self.disjuncts)
            constraints = [
                {"outputs": [[i, c] for i, c in enumerate(row) if c != 0], "at_most": t} for row, t in rows
            ]
            self.line({"record": "disjunct", "number": self.disjuncts[key], "constraints": constraints})
        return self.disjuncts[key]

    def layer(self, network, name, values):
        """The number of a network's layer; values() is (point, the layer's values there), both flat, or None."""
        key = (network, name)
        if key not in self.layers:
            self.layers[key] = len(self.layers)
            record = {"record": "layer", "number": self.layers[key], "name": name}
            found = values()
            if found is not None:
                record.update(input=finite(found[0]), values=finite(found[1]))
            self.line(record)
        return self.layers[key]

    def flush(self):
        self.stream.flush()


def finite(values):
    return [v if math.isfinite(v) else 0.0 for v in values]


def plain(values):
    """A list, of a tensor, an array or a list."""
    return values.tolist() if hasattr(values, "tolist") else list(values)


def literals_of(history):
    """[layer's name, neuron, side, point] of each split: a history is {name: (neurons, signs, points, ...)}."""
    found = []
    for name, entry in (history or {}).items():
        neurons, signs = plain(entry[0]), plain(entry[1])
        points = plain(entry[2]) if len(entry) > 2 and entry[2] is not None else []
        for k, (neuron, sign) in enumerate(zip(neurons, signs, strict=False)):
            point = float(points[k]) if k < len(points) else 0.0
            found.append([name, int(neuron), 1 if sign > 0 else -1, point if math.isfinite(point) else 0.0])
    return found


# What is watched: three methods of the verifier's classes.


def watch(cls, name, before):
    """``before(*arguments)`` is called in front of the method; its mistakes are reported once and cost the run nothing."""
    static = isinstance(cls.__dict__[name], staticmethod)
    method = getattr(cls, name)
    failed = []

    @functools.wraps(method)
    def wrapped(*args, **kwargs):
        if not failed:
            try:
                before(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - another release may be anything
                failed.append(error)
                say(f"{cls.__name__}.{name} is not as expected, its leaves are left out: {error!r}")
        return method(*args, **kwargs)

    setattr(cls, name, staticmethod(wrapped) if static else wrapped)


def watch_networks(writer, probes):
    """Each network's number, a random point and the values there: the layers' names say nothing outside, their values do."""
    import torch

    def remember(net, x):
        with torch.no_grad():
            net(x)
            values = {n.name: getattr(n, "forward_value", None) for n in net.nodes()}
            return {name: v.detach().cpu().clone() for name, v in values.items() if torch.is_tensor(v)}

    numbers = itertools.count()

    def init(cls):
        method = cls.__init__

        @functools.wraps(method)
        def wrapped(self, *args, **kwargs):
            method(self, *args, **kwargs)
            try:
                shape = kwargs["in_size"] if "in_size" in kwargs else args[1]
                x = torch.rand([1, *list(shape)[1:]], generator=torch.Generator().manual_seed(0))
                x = x.to(self.device, torch.get_default_dtype())
                probes[self] = (next(numbers), x, remember(self.net, x))
            except Exception as error:  # noqa: BLE001 - another release may be anything
                say(f"no values of this network's layers: {error!r}")

        cls.__init__ = wrapped

    init(importlib.import_module("beta_CROWN_solver").LiRPANet)


def watch_neurons(writer, probes):
    module = importlib.import_module("branching_domains")
    same = getattr(importlib.import_module("utils"), "check_infeasible_bounds", None)

    def values(net, name):
        _, x, found = probes.get(net, (None, None, {}))
        return (x.flatten().tolist(), found[name].flatten().tolist()) if name in found else None

    def add(self, bounds, d, check_infeasibility=False):
        lower = bounds["lower_bounds"][self.final_name]
        thresholds = d["thresholds"].to(lower.device)[: lower.shape[0]]
        done = (lower > thresholds).any(1)
        if check_infeasibility and same is not None:
            done = done | same(bounds["lower_bounds"], bounds["upper_bounds"]).to(done.device)
        rows = d["cs"] if d.get("cs") is not None else bounds["c"]
        for i in done.nonzero().view(-1).tolist():
            literals = literals_of(d["history"][i])
            network = probes.get(self.net, (None,))[0]
            layers = {n: writer.layer(network, n, lambda n=n: values(self.net, n)) for n, *_ in literals}
            disjunct = writer.disjunct(rows[i].tolist(), thresholds[i].tolist())
            writer.leaf(disjunct, neurons=[[layers[n], *rest] for n, *rest in literals])
        writer.flush()

    watch(module.BatchedDomainList, "add", add)


def watch_boxes(writer, probes):
    module = importlib.import_module("input_split.branching_domains")

    def leaves(lower, dm_l, dm_u, rows, thresholds):
        low, high = dm_l.flatten(1), dm_u.flatten(1)
        done = (lower > thresholds).any(1) & (low <= high).all(1)
        for i in done.nonzero().view(-1).tolist():
            disjunct = writer.disjunct(rows[i].tolist(), thresholds[i].tolist())
            writer.leaf(disjunct, lower=low[i].tolist(), upper=high[i].tolist())
        writer.flush()

    def filtered(batch, lb, dm_l, dm_u, alpha, cs, threshold, *rest, **named):
        keep = named.get("remaining_index", rest[7] if len(rest) > 7 else None)
        if keep is None and named.get("check_dm_lbs", rest[5] if len(rest) > 5 else True):
            leaves(lb, dm_l, dm_u, cs, threshold)

    def add(self, lb, dm_l, dm_u, alpha, cs, threshold, *rest, **named):
        keep = named.get("remaining_index", rest[2] if len(rest) > 2 else None)
        if keep is None and named.get("check_dm_lbs", rest[3] if len(rest) > 3 else True):
            leaves(lb, dm_l, dm_u, cs, threshold)

    watch(module.UnsortedInputDomainList, "filter_verified_domains", filtered)
    watch(module.UnsortedInputDomainList, "add", add)


WATCHED = (
    (watch_networks, "beta_CROWN_solver.LiRPANet", "layers cannot be told"),
    (watch_neurons, "branching_domains.BatchedDomainList.add", "leaves of neuron splits are left out"),
    (
        watch_boxes,
        "input_split.branching_domains.UnsortedInputDomainList.filter_verified_domains",
        "leaves of input splits are left out",
    ),
)


def say(text):
    sys.stderr.write(f"{NOTE} {text}\n")
    sys.stderr.flush()


def version():
    try:
        with open(os.path.join(sys.path[0], "__init__.py"), encoding="utf-8") as stream:
            found = [line.split("=")[1].strip(" \"'\n") for line in stream if line.startswith("__version__")]
        return f"alpha-beta-CROWN {found[0]}"
    except (OSError, IndexError):
        return "alpha-beta-CROWN"


def main(arguments):
    """Run the verifier, its tree going to the file that is named; its exit code."""
    if len(arguments) < 4 or arguments[0] != "-o" or arguments[2] != "--":
        sys.stderr.write(f"{USAGE}\n")
        return 2
    target, program = arguments[1], os.path.abspath(arguments[3])
    if not os.path.isfile(program):
        say(f"there is no {program}")
        return 2
    try:
        stream = open(target, "w", encoding="utf-8")  # noqa: SIM115  (closed below)
    except OSError as error:
        say(f"cannot write {target}: {error.strerror}; nothing was run")
        return 2
    sys.argv = arguments[3:]
    # as `python abcrown.py` has it; this file's folder is not on the path
    sys.path[0] = os.path.dirname(program)
    with stream:
        return watched(stream, target, program)


def watched(stream, target, program):
    """Run the verifier with the hooks in place; its exit code."""
    writer = Writer(stream, version())
    writer.flush()
    probes, hooked = weakref.WeakKeyDictionary(), 0
    for hook, what, otherwise in WATCHED:
        try:
            hook(writer, probes)
            hooked += hook is not watch_networks
        except (ImportError, AttributeError, KeyError) as error:
            say(f"this release has no {what} ({error}): {otherwise}")
    if not hooked:
        say(f"nothing to watch beside {program}: is it the abcrown.py of a release that this file knows?")
        return 2
    code = 0
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        code = end.code
    finally:
        if os.getpid() == writer.process:  # not in a process that the verifier forked
            writer.line({"record": "end", "leaves": writer.leaves})
            writer.flush()
            say(f"{writer.leaves} leaves of {len(writer.disjuncts)} disjuncts in {target}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
