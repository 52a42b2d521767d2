"""If, Loop, Scan and local functions, written in onnx's text form, against onnxruntime and the reference evaluator."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx.reference import ReferenceEvaluator

from tests import numpy_eval
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import call, modules_of, read_model, subgraphs

X = np.array([[0.5, -1.25, 2.0], [1.5, 0.25, -0.75]], np.float32)


def model(
    nodes: str, functions: str = "", *, opset: int = 18, ir: int = 10, more: str = ""
) -> onnx.ModelProto:
    """From x (2, 3) to y."""
    head = f'<ir_version: {ir}, opset_import: ["" : {opset}, "my" : 1 {more}]>'
    return onnx.parser.parse_model(f"{head} g (float[2, 3] x) => (float[] y) {{ {nodes} }} {functions}")


def function(
    body: str, signature: str = "(a) => (b)", *, name: str = "f", attributes: str = "", opset: int = 18
) -> str:
    return (
        f'<domain: "my", opset_import: ["" : {opset}, "my" : 1]> {name} {attributes} {signature} {{ {body} }}'
    )


def executed(proto: onnx.ModelProto) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    data = proto.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X})[0]


def referred(proto: onnx.ModelProto) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ReferenceEvaluator(proto).run(None, {"x": X})[0]


def read(proto: onnx.ModelProto) -> Any:
    (found,) = numpy_eval.evaluate(read_model(proto.SerializeToString()), [X])
    return found


SCALAR = "float {1.5}"
INT = "int64 {%d}"
LOOP = """
m = Constant <value = int64 {4}> ()
c = Constant <value = bool {1}> ()
"""
BODY = "int64 i, bool go"

AGREE: dict[str, onnx.ModelProto] = {
    "if, then": model("""
        c = Constant <value = bool {1}> ()
        y = If (c) <then_branch = t () => (float[] p) { p = Relu(x) }, else_branch = e () => (float[] q) { q = Neg(x) }>"""),
    "if, else, by a shape": model("""
        s = Shape(x) r = Size(s) two = Constant <value = int64 {3}> () c = Equal(r, two)
        y = If (c) <then_branch = t () => (float[] p) { p = Relu(x) }, else_branch = e () => (float[] q) { q = Neg(x) }>"""),
    "branches of other shapes": model("""
        c = Constant <value = bool[1] {0}> ()
        y = If (c) <then_branch = t () => (float[] p) { p = Flatten <axis = 0> (x) },
                    else_branch = e () => (float[] q) { q = Transpose(x) }>"""),
    "if in if, names of the outermost": model("""
        h = Relu(x) c = Constant <value = bool {1}> ()
        y = If (c) <then_branch = t () => (float[] p) {
              k = Exp(x)
              p = If (c) <then_branch = tt () => (float[] pp) { pp = Add(h, k) }, else_branch = te () => (float[] pq) { pq = Neg(h) }>
            }, else_branch = e () => (float[] q) { q = Neg(x) }>"""),
    "loop, carried": model(LOOP + f"""
        y = Loop (m, c, x) <body = b ({BODY}, float[] v) => (bool on, float[] w)
              {{ on = Identity(go) t = Sin(v) w = Add(t, x) }}>"""),
    "loop by its condition": model(f"""
        c = Constant <value = bool {{1}}> ()
        y = Loop (, c, x) <body = b ({BODY}, float[] v) => (bool on, float[] w)
              {{ three = Constant <value = int64 {{3}}> () on = Less(i, three) w = Sin(v) }}>"""),
    "loop that never runs": model(f"""
        m = Constant <value = int64 {{5}}> () c = Constant <value = bool {{0}}> ()
        z = Loop (m, c, x) <body = b ({BODY}, float[] v) => (bool on, float[] w) {{ on = Identity(go) w = Sin(v) }}>
        y = Relu(z)"""),
    "loop with the number of its iteration": model(LOOP + f"""
        y = Loop (m, c, x) <body = b ({BODY}, float[] v) => (bool on, float[] w)
              {{ on = Identity(go) f = Cast <to = 1> (i) w = Add(v, f) }}>"""),
    "loop whose carried value grows": model(LOOP + f"""
        y = Loop (m, c, x) <body = b ({BODY}, float[] v) => (bool on, float[] w)
              {{ on = Identity(go) w = Concat <axis = 0> (v, x) }}>"""),
    "loop that carries integers": model(LOOP + f"""
        one = Constant <value = int64 {{1}}> ()
        k, z = Loop (m, c, one, x) <body = b ({BODY}, int64 n, float[] v) => (bool on, int64 n2, float[] w)
              {{ on = Identity(go) n2 = Add(n, n) f = Cast <to = 1> (n) w = Mul(v, f) }}>
        kf = Cast <to = 1> (k) y = Add(z, kf)"""),
    "loop in loop": model(LOOP + f"""
        y = Loop (m, c, x) <body = b ({BODY}, float[] v) => (bool on, float[] w) {{
              on = Identity(go)
              w = Loop (m, c, v) <body = bb (int64 j, bool jgo, float[] vv) => (bool jon, float[] ww)
                    {{ jon = Identity(jgo) f = Cast <to = 1> (i) g = Cast <to = 1> (j) p = Mul(f, g) s = Sin(vv) ww = Add(s, p) }}>
            }}>"""),
    "scan, running sums": model("""
        zero = Constant <value = float[3] {0, 0, 0}> ()
        last, y = Scan (zero, x) <num_scan_inputs = 1, body = b (float[3] s, float[3] e) => (float[3] t, float[3] o)
              { t = Add(s, e) o = Tanh(t) }>"""),
}  # fmt: skip

ONNXRUNTIME: dict[str, onnx.ModelProto] = {
    "loop without a condition": model(LOOP + f"""
        y = Loop (m, , x) <body = b ({BODY}, float[] v) => (bool on, float[] w) {{ on = Identity(go) w = Sin(v) }}>"""),
    "loop, stacked": model(LOOP + f"""
        v4, y = Loop (m, c, x) <body = b ({BODY}, float[] v) => (bool on, float[] w, float[] s)
              {{ on = Identity(go) w = Sin(v) s = Exp(w) }}>"""),
    "loop, stacked numbers": model(LOOP + f"""
        s4 = Loop (m, c) <body = b ({BODY}) => (bool on, float s) {{ on = Identity(go) s = Cast <to = 1> (i) }}>
        r = ReduceSum <keepdims = 0> (s4) y = Add(x, r)"""),
    "scan, other axes and directions": model("""
        zero = Constant <value = float[2] {0, 0}> ()
        last, y = Scan (zero, x) <num_scan_inputs = 1, scan_input_axes = [1], scan_input_directions = [1],
                    scan_output_axes = [-1], scan_output_directions = [1],
                    body = b (float[2] s, float[2] e) => (float[2] t, float[2] o) { h = Sin(s) t = Add(h, e) o = Identity(t) }>"""),
    "scan, two sequences of other axes": model("""
        z = Transpose(x)
        y = Scan (x, z) <num_scan_inputs = 2, scan_input_axes = [0, 1],
                    body = b (float[3] e, float[3] d) => (float[3] o) { p = Sin(d) o = Sub(e, p) }>"""),
}  # fmt: skip
"""The reference evaluator never runs a loop without a condition, stacks rows (np.vstack), and has no other axes or directions."""

FUNCTIONS: dict[str, onnx.ModelProto] = {
    "function": model("y = my.f(x)", function("c = Relu(a) b = Neg(c)")),
    "names inside are their own": model(
        "c = Exp(x) d = my.f(c) y = Add(d, c)", function("c = Relu(a) x = Sin(c) b = Neg(x)")
    ),
    "function of functions": model(
        "y = my.f(x)",
        function("c = my.g(a) b = my.g(c)") + function("b = Sin(a)", name="g"),
    ),
    "two outputs, one used": model("p, y = my.f(x)", function("b = Relu(a) d = Sin(a)", "(a) => (b, d)")),
    "attributes by reference": model(
        "y = my.f <slope = 0.25> (x)", function("b = LeakyRelu <alpha : float = @slope> (a)", attributes="<slope>")
    ),
    "an attribute's default": model(
        "y = my.f(x)", function("b = LeakyRelu <alpha : float = @slope> (a)", attributes="<slope : float = 0.5>")
    ),
    "references through two functions": model(
        "y = my.f <k = 0.125> (x)",
        function("b = my.g <s : float = @k> (a)", attributes="<k>")
        + function("b = LeakyRelu <alpha : float = @s> (a)", attributes="<s>", name="g"),
    ),
    "a reference inside a branch": model(
        "y = my.f <k = 0.125> (x)",
        function(
            """c = Constant <value = bool {1}> ()
               b = If (c) <then_branch = t () => (float[] p) { p = LeakyRelu <alpha : float = @k> (a) },
                           else_branch = e () => (float[] q) { q = Neg(a) }>""",
            attributes="<k>",
        ),
    ),
    "a function of another opset, same operators": model("y = my.f(x)", function("b = Relu(a)", opset=14)),
    "a call in a loop": model(
        LOOP + f"""y = Loop (m, c, x) <body = b ({BODY}, float[] v) => (bool on, float[] w)
                     {{ on = Identity(go) w = my.f(v) }}>""",
        function("b = Sin(a)"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AGREE)
def test_values_are_onnxruntimes_and_the_references(name: str) -> None:
    proto = AGREE[name]
    found = read(proto)
    for theirs in (executed(proto), referred(proto)):
        assert found.shape == theirs.shape
        np.testing.assert_allclose(found, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ONNXRUNTIME)
def test_values_are_onnxruntimes(name: str) -> None:
    found, theirs = read(ONNXRUNTIME[name]), executed(ONNXRUNTIME[name])
    assert found.shape == theirs.shape
    np.testing.assert_allclose(found, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_onnxruntimes_and_the_references(name: str) -> None:
    proto = FUNCTIONS[name]
    found = read(proto)
    np.testing.assert_allclose(found, executed(proto), rtol=1e-5, atol=1e-6)
    if "reference" in name or name in ("an attribute's default", "function of functions"):
        return  # it knows neither functions that come later nor references to attributes of LeakyRelu
    np.testing.assert_allclose(found, referred(proto), rtol=1e-5, atol=1e-6)


# refusals


def refused(proto: onnx.ModelProto, code: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_model(proto.SerializeToString(), file="m.onnx")
    assert caught.value.code == code, str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


BRANCHES = (
    "<then_branch = t () => (float[] p) { p = Relu(x) }, else_branch = e () => (float[] q) { q = Neg(x) }>"
)
DECIDED_BY_X = "s = ReduceSum <keepdims = 0> (x) z = Constant <value = float {0}> () c = Greater(s, z)"
SIN = f"<body = b ({BODY}, float[] v) => (bool on, float[] w) {{ on = Identity(go) w = Sin(v) }}>"

REFUSED: dict[str, tuple[str, str, onnx.ModelProto]] = {
    "condition": ("TLC202", "a condition that the network decides", model(f"{DECIDED_BY_X} y = If (c) {BRANCHES}")),
    "loop condition": ("TLC202", "a condition that the network decides", model(
        f"{DECIDED_BY_X} m = Constant <value = int64 {{3}}> () y = Loop (m, c, x) {SIN}")),
    "condition of the body": ("TLC202", "a condition that the network decides", model(f"""{LOOP}
        y = Loop (m, c, x) <body = b ({BODY}, float[] v) => (bool on, float[] w)
              {{ s = ReduceSum <keepdims = 0> (v) z = Constant <value = float {{0}}> () on = Greater(s, z) w = Sin(v) }}>""")),
    "trip count": ("TLC202", "a trip count that the network decides", model(f"""
        s = ReduceSum <keepdims = 0> (x) m = Cast <to = 7> (s) y = Loop (m, , x) {SIN}""")),
    "condition where there is none": ("TLC202", "a condition that ends a loop without one", model(f"""{LOOP}
        y = Loop (m, , x) <body = b ({BODY}, float[] v) => (bool on, float[] w)
              {{ one = Constant <value = int64 {{1}}> () on = Less(i, one) w = Sin(v) }}>""")),
    "a loop without an end": ("TLC202", "without a trip count, and its condition never changes", model(f"""
        c = Constant <value = bool {{1}}> () y = Loop (, c, x) <body = b ({BODY}, float[] v) => (bool on, float[] w) {{
            same = Identity(go) on = Identity(same) w = Sin(v) }}>""")),
    "a huge trip count": ("TLC401", "Loop of 1000000000 iterations of 2 nodes is too large to unroll", model(f"""
        m = Constant <value = int64 {{1000000000}}> () y = Loop (m, , x) {SIN}""")),
    "no end": ("TLC401", "too many nodes, those of loops", model(f"""
        c = Constant <value = bool {{1}}> () m = Constant <value = int64 {{9223372036854775807}}> ()
        k = Constant <value = int64 {{1}}> ()
        n = Loop (m, c, k) <body = b ({BODY}, int64 v) => (bool on, int64 w) {{ on = Identity(go) w = Identity(v) }}>
        f = Cast <to = 1> (n) y = Add(x, f)""")),
    "a shadow": ("TLC202", "then_branch: a tensor 'h' inside and around it", model("""
        h = Sin(x) c = Constant <value = bool {1}> ()
        k = If (c) <then_branch = t () => (float[] p) { h = Exp(x) p = Relu(h) }, else_branch = e () => (float[] q) { q = Neg(x) }>
        y = Add(h, k)""")),
    "a shadowing input": ("TLC202", "body: a tensor 'x' inside and around it", model(f"""{LOOP}
        y = Loop (m, c, x) <body = b ({BODY}, float[] x) => (bool on, float[] w) {{ on = Identity(go) w = Sin(x) }}>""")),
    "an output from outside": ("TLC202", "output 'x' of a graph inside a node is not defined in it", model("""
        c = Constant <value = bool {1}> ()
        y = If (c) <then_branch = t () => (float[] x) { p = Relu(x) }, else_branch = e () => (float[] q) { q = Neg(x) }>""")),
    "inputs of a branch": ("TLC201", "has 1 inputs and 1 outputs, expected 0 and 1", model("""
        c = Constant <value = bool {1}> ()
        y = If (c) <then_branch = t (float[] a) => (float[] p) { p = Relu(a) }, else_branch = e () => (float[] q) { q = Neg(x) }>""")),
    "outputs of a body": ("TLC201", "has 3 inputs and 1 outputs, expected 3 and 2", model(f"""{LOOP}
        y = Loop (m, c, x) <body = b ({BODY}, float[] v) => (bool on) {{ on = Identity(go) }}>""")),
    "another type": ("TLC202", "a carried value that changes its type", model(f"""{LOOP}
        k = Constant <value = int64 {{1}}> ()
        n = Loop (m, c, k) <body = b ({BODY}, int64 v) => (bool on, float w) {{ on = Identity(go) w = Cast <to = 1> (v) }}>
        y = Add(x, n)""")),
    "a number as a list": ("TLC202", "a list as iteration number or condition", model(f"""{LOOP}
        y = Loop (m, c, x) <body = b (int64[1] i, bool go, float[] v) => (bool on, float[] w) {{ on = Identity(go) w = Sin(v) }}>""")),
    "nothing stacked": ("TLC202", "what no iteration gives", model(f"""
        m = Constant <value = int64 {{0}}> () c = Constant <value = bool {{1}}> ()
        y = Loop (m, c) <body = b ({BODY}) => (bool on, float[] s) {{ on = Identity(go) s = Sin(x) }}>""")),
    "sequences": ("TLC202", "unsupported operator SequenceConstruct at node 'If/y/SequenceConstruct/q'", model("""
        c = Constant <value = bool {1}> ()
        y = If (c) <then_branch = t () => (float[] p) { q = SequenceConstruct(x) p = ConcatFromSequence <axis = 0> (q) },
                    else_branch = e () => (float[] r) { r = Neg(x) }>""")),
    "scan of opset 8": ("TLC202", "the form of opset 8, with a batch", model("""
        y = Scan (, x) <num_scan_inputs = 1, body = b (float[3] e) => (float[3] o) { o = Relu(e) }>""", opset=8, ir=3)),
    "scan lengths": ("TLC204", "sequences of different lengths: [2, 3]", model("""
        z = Transpose(x)
        y = Scan (x, z) <num_scan_inputs = 2, body = b (float[3] e, float[2] d) => (float[3] o) { o = Relu(e) }>""")),
    "recursion": ("TLC202", "a function that calls itself", model("y = my.f(x)", function("b = my.f(a)"))),
    "mutual recursion": ("TLC202", "a function that calls itself", model(
        "y = my.f(x)", function("b = my.g(a)") + function("b = my.f(a)", name="g"))),
    "versions": ("TLC202", "a function of opset 12 in a model of opset 18, with ReduceSum", model(
        "y = my.f(x)", function("b = ReduceSum <axes = [1]> (a)", opset=12))),
    "an attribute that it has not": ("TLC202", "attribute k: the function has none", model(
        "y = my.f <k = 1> (x)", function("b = Relu(a)"))),
    "an attribute left out": ("TLC202", "attribute alpha: no attribute slope of its type is given", model(
        "y = my.f(x)", function("b = LeakyRelu <alpha : float = @slope> (a)", attributes="<slope>"))),
    "another type of attribute": ("TLC202", "attribute alpha: no attribute slope of its type is given", model(
        "y = my.f <slope = 1> (x)", function("b = LeakyRelu <alpha : float = @slope> (a)", attributes="<slope>"))),
    "too many operands": ("TLC201", "2 operands and 1 outputs of a function of 1 and 1", model(
        "y = my.f(x, x)", function("b = Relu(a)"))),
    "names around a function": ("TLC201", "tensor 'h' is not defined", model(
        "h = Relu(x) y = my.f(x)", function("b = Add(a, h)"))),
    "twice": ("TLC201", "duplicate function 'my.f:'", model("y = my.f(x)", function("b = Relu(a)") + function("b = Sin(a)"))),
    "an old format": ("TLC202", "local functions before version 8", model("y = my.f(x)", function("b = Relu(a)"), ir=7)),
    "no such function": ("TLC202", "domain my", model("y = my.h(x)", function("b = Relu(a)"))),
}  # fmt: skip


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that is reached soon."""
    for module in (call, subgraphs):
        monkeypatch.setattr(module, "MAX_NODES", 500)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_refused_and_named(name: str) -> None:
    code, text, proto = REFUSED[name]
    assert re.search(re.escape(text), refused(proto, code))


@pytest.mark.parametrize("domain", ["", "ai.onnx.ml", "com.microsoft"])
def test_functions_among_the_operators_of_runtimes_are_refused(domain: str) -> None:
    proto = model("y = my.f(x)", function("b = Relu(a)"))
    proto.functions[0].domain, proto.functions[0].name = domain, "Gelu"
    assert "which has operators" in refused(proto, "TLC202")


def test_a_function_that_nothing_calls_is_passed_over() -> None:
    found = read(model("y = Relu(x)", function("b = NoSuchOperator(a)")))
    np.testing.assert_array_equal(found, np.maximum(X, 0))


def test_an_operand_left_out() -> None:
    """It is absent inside the function, too."""
    proto = model("y = my.f(x)", function("b = Clip(a, low, high)", "(a, low, high) => (b)"))
    np.testing.assert_array_equal(read(proto), X)


def test_overloads_are_other_functions() -> None:
    proto = model("y = my.f(x)", function("b = Relu(a)") + function("b = Neg(a)"))
    proto.functions[1].overload = proto.graph.node[0].overload = "second"
    np.testing.assert_array_equal(read(proto), -X)
    proto.graph.node[0].overload = "third"
    refused(proto, "TLC202")


def test_an_operator_has_no_overload() -> None:
    proto = model("y = Relu(x)")
    proto.graph.node[0].overload = "fast"
    assert "overload fast" in refused(proto, "TLC202")


@pytest.mark.usefixtures("small")
def test_functions_that_double_are_stopped() -> None:
    """Thirty of them, each of which calls the next twice: 2^30 nodes."""
    bodies = [function(f"c = my.f{k + 1}(a) b = my.f{k + 1}(c)", name=f"f{k}") for k in range(30)]
    proto = model("y = my.f0(x)", "".join([*bodies, function("b = Relu(a)", name="f30")]))
    assert "at most 500" in refused(proto, "TLC401")


def test_labels_say_where() -> None:
    graph = read_model(AGREE["loop in loop"].SerializeToString())
    assert any(node.label == "Loop/y[2]/Loop/w[1]/Sin/s" for node in graph.nodes)


def test_the_module_is_asked_for() -> None:
    name = "tlcheck.readers.onnx.subgraphs"
    for proto in (AGREE["if, then"], FUNCTIONS["function"]):
        assert name in modules_of(read_model(proto.SerializeToString()))
    assert name not in modules_of(read_model(model("y = Relu(x)").SerializeToString()))


def test_initializers_of_a_body_are_its_own() -> None:
    proto = AGREE["if, then"]
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    branch = next(a.g for a in copy.graph.node[1].attribute if a.name == "then_branch")
    branch.initializer.append(onnx.numpy_helper.from_array(np.full(3, 2, np.float32), "k"))
    branch.node[0].CopyFrom(onnx.helper.make_node("Mul", ["x", "k"], ["p"]))
    np.testing.assert_array_equal(read(copy), 2 * X)
    np.testing.assert_array_equal(executed(copy), 2 * X)
