"""Every rounding radius against onnxruntime's executions; ``python -m tests.trusted.radii`` tries many more points."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.helpers import IEEE
from tests.trusted import radii
from tests.trusted.radii import RULES, ratio
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import read_model
from tlcheck.readers.runtime_profile import chosen_profile
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.profile import Accuracy, NotDeployable, Profile
from tlcheck.trusted.ops.attended import Attended
from tlcheck.trusted.ops.discrete import ArgMax, Compare, Sign
from tlcheck.trusted.ops.product import MatProduct
from tlcheck.trusted.ops.smooth import Log, Reciprocal, Sqrt
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.ops.statistics import MEAN, VARIANCE, Statistic


@pytest.mark.parametrize("name", RULES)
def test_executions_stay_inside(name: str) -> None:
    worst = ratio(RULES[name], 1, seed=5)
    assert worst <= 1
    assert worst > 1e-6


@pytest.mark.parametrize("name", radii.NOTICED)
def test_a_twentieth_of_the_radius_would_be_noticed(name: str) -> None:
    assert 20 * ratio(RULES[name], 2000, chosen_profile("onnxruntime-cpu").numbers) > 1


@pytest.mark.parametrize("order", radii.ORDERS)
@pytest.mark.parametrize("fma", [False, True])
def test_sums_in_any_order(order: str, fma: bool) -> None:
    assert 1e-6 < radii.sums(300, order, fma=fma) <= 1


@pytest.mark.parametrize("strip", [1, 4, 64])
@pytest.mark.parametrize("name", ["LayerNormalization", "LayerNormalization offset"])
def test_statistics_by_updates(name: str, strip: int) -> None:
    """Welford's and Chan's: inside the radius of the profile that says so, outside that of two exact passes."""
    cuda = chosen_profile("cuda-math").numbers
    assert 1e-6 < radii.welford_ratio(RULES[name], 16, cuda, strip) <= 1


@pytest.mark.parametrize("name", ["onnxruntime-cpu", "mlas-rational"])
@pytest.mark.parametrize("function", ["Tanh", "Sigmoid"])
def test_what_is_measured_or_proved_holds_here(name: str, function: str) -> None:
    """(On this machine's kernels.)"""
    assert ratio(RULES[function], 4000, chosen_profile(name).numbers) <= 1


def test_a_function_that_is_not_listed_is_refused() -> None:
    with pytest.raises(NotDeployable, match="Exp, which the profile mlas-rational does not list"):
        ratio(RULES["Exp"], 1, chosen_profile("mlas-rational").numbers)


def box(low: list[float], high: list[float]) -> Box:
    return Box(np.array([low]), np.array([high]))


TINY = 2.0**-126


@pytest.mark.parametrize("op", [Log(), Reciprocal()])
def test_an_operand_that_may_be_taken_for_zero(op: Log | Reciprocal) -> None:
    """The logarithm of a subnormal number is -inf where it is flushed."""
    image = box([-1.0], [1.0])
    assert op.radius((box([TINY], [1.0]),), ((1,),), image, IEEE) is not None
    with pytest.raises(OutOfRange):
        op.radius((box([TINY / 2], [1.0]),), ((1,),), image, IEEE)


def test_a_root_of_a_flushed_operand() -> None:
    radius = Sqrt().radius((box([0.0], [0.0]),), ((1,),), box([0.0], [0.0]), IEEE)
    assert radius is not None and radius[0, 0] >= 2.0**-63


def test_steps_at_operands_that_may_be_taken_for_zero() -> None:
    small = box([TINY / 4], [TINY / 2])
    zero, none = box([0.0], [0.0]), ((1,),)
    [[sign]] = Sign().radius((small,), none, box([1.0], [1.0]), IEEE)  # type: ignore[misc]
    assert sign == 1
    [[less]] = Compare("<").radius((zero, small), none * 2, box([1.0], [1.0]), IEEE)  # type: ignore[misc]
    assert less == 1
    assert Sign().radius((box([TINY], [1.0]),), none, box([1.0], [1.0]), IEEE) is None
    [[last]] = ArgMax(last=True).radius(  # type: ignore[misc]
        (box([TINY / 2, 0.0], [TINY / 2, 0.0]),), ((2,),), box([0.0], [0.0]), IEEE
    )
    assert last == 1


def executed(rule: radii.Rule, x: np.typing.NDArray[np.float32]) -> np.typing.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(rule.model(1), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x.reshape(1, *rule.shape)})[0])


def test_sums_that_runtimes_keep_running_are_refused() -> None:
    """onnxruntime's LRN adds the channel that enters and subtracts the one that leaves: what a large one rounded stays, and
    outputs were infinite where each window's own sum is small."""
    rule = radii.Rule("LRN", {"size": 3, "alpha": 3.0, "beta": 0.75, "bias": 1e-3}, row=(12, 1, 1), width=12)
    x = np.full((1, 12), 0.01, np.float32)
    x[0, 0] = 3e3
    with pytest.raises(NotDeployable, match="LRN, whose sums"):
        radii.enclosures(rule.model(1), x, IEEE)
    assert not np.isfinite(executed(rule, x)).all(), "the reason is gone: a rule could be had"


def test_a_number_that_runtimes_leave_out_is_refused() -> None:
    """onnxruntime's MeanVarianceNormalization adds no 1e-9 to the deviation, as the standard's function does."""
    rule = radii.Rule("MeanVarianceNormalization", {"axes": [1]}, opset=13, width=4)
    x = np.float32([[1e-9, 2e-9, 3e-9, 4e-9]])
    with pytest.raises(InvalidInput, match=r"MeanVarianceNormalization.*adds no 1e-9"):
        read_model(rule.model(1))
    with_number = (x - x.mean()) / (x.std() + np.float32(1e-9))
    assert np.abs(executed(rule, x) - with_number).max() > 0.5, "the reason is gone: a rule could be had"


@pytest.mark.parametrize(
    "name, profile", [("InstanceNormalization", "cuda-math"), ("LayerNormalization", "mlas-rational")]
)
def test_statistics_that_the_profile_does_not_describe(name: str, profile: str) -> None:
    with pytest.raises(
        NotDeployable, match=f"{name}, whose statistics the profile {profile} does not describe"
    ):
        ratio(RULES[name], 1, chosen_profile(profile).numbers)


@pytest.mark.parametrize("how", ["one-pass", "welford"])
def test_kernels_of_another_kind_are_charged_more(how: str) -> None:
    """Their radii contain those of two passes, for values beside a large offset by far."""
    x = np.float32(50) + np.linspace(-1, 1, 64, dtype=np.float32)[None]
    model = RULES["LayerNormalization offset"].model(1)
    found = [
        radii.enclosures(model, x, replace(IEEE, normalisation={"LayerNormalization": kind}))[1].max()
        for kind in ("two-pass", how)
    ]
    assert found[1] > 2 * found[0]


def test_too_many_values_for_updates() -> None:
    """Welford's bound needs 2 n (r + 3 u) <= 1/2; two passes of as many have one."""
    n = 1 << 20
    v, x = box([0.0], [1.0]), Box(np.zeros((1, n)), np.ones((1, n)))
    for of in (MEAN, VARIANCE):
        with pytest.raises(OutOfRange):
            Statistic("LayerNormalization", of).radius(
                (v, x), ((1,), (n,)), v, replace(IEEE, normalisation=WELFORD)
            )
    assert Statistic("LayerNormalization", VARIANCE).radius((v, x), ((1,), (n,)), v, IEEE) is None


WELFORD = {"LayerNormalization": "welford"}


def test_values_near_the_largest_float_are_refused() -> None:
    wide = box([-1e30] * 4, [1e30] * 4)
    with pytest.raises(OutOfRange):
        MatProduct().radius((wide, wide), ((2, 2), (2, 2)), wide, IEEE)
    with pytest.raises(OutOfRange):
        Statistic("GroupNormalization", VARIANCE).radius(
            (box([0.0], [1.0]), wide), ((1,), (4,)), box([0.0], [1.0]), IEEE
        )


def test_softmax_of_an_exponential_that_errs_absolutely() -> None:
    """Its absolute error counts once for each term: of too many nothing is said."""
    quotient = {"Reciprocal": Accuracy()}
    loose = Profile("loose", "", {"Exp": Accuracy(absolute=Fraction(1, 1 << 20)), **quotient})
    x, y = box([0.0] * 4, [1.0] * 4), box([0.0] * 4, [1.0] * 4)
    exact = Profile("exact", "", {"Exp": Accuracy(), **quotient})
    loosely, exactly = (Softmax().radius((x,), ((4,),), y, p) for p in (loose, exact))
    assert loosely is not None and exactly is not None and (loosely > exactly + 2.0**-20).all()
    many = box([0.0] * 2000, [1.0] * 2000)
    with pytest.raises(OutOfRange):
        Softmax().radius((many,), ((2000,),), many, loose)
    with pytest.raises(NotDeployable):
        Softmax().radius((x,), ((4,),), y, Profile("odd", "", {"Exp": Accuracy(per_operand=Fraction(1, 9))}))


def test_quotients_that_err_absolutely_are_refused() -> None:
    odd = Profile("odd", "", {"Exp": Accuracy(), "Reciprocal": Accuracy(absolute=Fraction(1, 9))})
    x = box([0.0] * 4, [1.0] * 4)
    with pytest.raises(NotDeployable, match="a quotient, with an error of Reciprocal"):
        Softmax().radius((x,), ((4,),), x, odd)


@pytest.mark.parametrize("block", [1, 8, 64])
def test_a_softmax_that_runs_along_with_the_sum(block: int) -> None:
    assert 1e-6 < radii.online_ratio(2, IEEE, block) <= 1


def test_attention_of_16_bit_numbers_is_refused() -> None:
    model = onnx.load_from_string(RULES["Attention"].model(1))
    for tensor in model.graph.initializer:
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float16), tensor.name)
        )
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    with pytest.raises(NotDeployable, match="Attention of float16, whose kernels may add up in it"):
        radii.enclosures(model.SerializeToString(), np.zeros((1, 64), np.float32), IEEE)


def test_attention_that_the_profile_does_not_describe() -> None:
    with pytest.raises(
        NotDeployable, match="Attention, whose kernel the profile cuda-math does not describe"
    ):
        ratio(RULES["Attention"], 1, chosen_profile("cuda-math").numbers)


def attended(keys: int, profile: Profile) -> float:
    """The radius of a sum of values of 1."""
    sums, values = Box(np.zeros((1, 2)), np.ones((1, 2))), Box(np.ones((1, 2 * keys)), np.ones((1, 2 * keys)))
    (found,) = Attended("Attention").radius((sums, values), ((1, 2), (keys, 2)), sums, profile)  # type: ignore[misc]
    return float(found.max())


def test_attention_to_many_keys() -> None:
    """What runs along costs with the number of keys; the whole softmax is charged as such. Too many are refused."""
    whole = replace(IEEE, attention={"Attention": "whole"})
    assert attended(16, whole) < 1e-30 < attended(16, IEEE) < attended(64, IEEE) / 3.5
    for keys, profile in ((600, IEEE), ((1 << 16) + 1, whole)):
        with pytest.raises(OutOfRange, match="too many keys"):
            attended(keys, profile)


def test_attention_whose_exponential_errs_otherwise() -> None:
    """An absolute error is what a hidden key may weigh; one that grows with the operand is refused."""
    absolute, grows = (
        replace(IEEE, attention={"Attention": "whole"}, functions={**IEEE.functions, "Exp": Accuracy(**{kind: Fraction(1, 1 << 30)})})
        for kind in ("absolute", "per_operand")
    )  # fmt: skip
    assert attended(16, absolute) >= 2 * 16 * 2.0**-30
    with pytest.raises(NotDeployable, match="an error of Exp that grows"):
        attended(16, grows)
