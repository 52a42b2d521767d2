"""The kernels hold what they state: on the host against integers, wrong builds caught; for devices, by what the compiler made."""

from __future__ import annotations

import pickle
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import CERTIFICATES, kernels_engine
from tests.trusted.arith.test_ball64_engine import MODES, control  # noqa: F401
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.kernels import build as building
from tlcheck.kernels.build import Library, build, folder
from tlcheck.kernels.calls import checked
from tlcheck.kernels.check import CASES, KINDS, check, sizes_agree
from tlcheck.kernels.device import Device, compiled
from tlcheck.kernels.native import Native, native
from tlcheck.kernels.recorder import Recorder
from tlcheck.kernels.sanitize import on_the_host
from tlcheck.keys import key
from tlcheck.options import Options
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.directed import Directed
from tlcheck.trusted.arith.direction import KernelsRefused, rounds
from tlcheck.trusted.arith.maps import MatMap
from tlcheck.trusted.arith.tiles import Tiles
from tlcheck.trusted.plan import Settings
from tlcheck.verify import verify_path

pytestmark = pytest.mark.xdist_group("kernels")
QUICK = ("-O1",)
"""Builds that are made for one test."""


@pytest.fixture(scope="module")
def kernels() -> Native:
    kernels_engine()
    return native()


@pytest.mark.parametrize("name", CASES)
def test_every_bound_holds(name: str, kernels: Native) -> None:
    (count,) = check(kernels, 2000, 1, (name,))
    assert count.passed and count.kinds == set(KINDS) and count.entries >= 2000, count
    assert count.not_finite < count.entries / 4


@pytest.mark.parametrize("mode", ["FE_TONEAREST", "FE_UPWARD"])
def test_a_build_that_rounds_otherwise_is_caught_and_refused(mode: str, kernels: Native) -> None:
    wrong = Native(build(*QUICK, f"-DMODE={mode}"))
    for count in check(wrong, 300):
        assert count.violations > 0, count
    with pytest.raises(KernelsRefused, match="do not round downwards"):
        rounds(wrong)


def test_a_machine_without_fused_multiply_adds(kernels: Native) -> None:
    try:
        plain = Native(build(*QUICK, "-mno-fma"))
    except InvalidInput:
        pytest.skip("no -mno-fma on this machine")
    rounds(plain)
    assert all(count.passed for count in check(plain, 300))


def test_results_do_not_depend_on_the_build(kernels: Native) -> None:
    """Vectors or not: the same bits, since each row is one sum in one order."""
    other, rng = Native(build(*QUICK, "-fno-tree-vectorize")), np.random.default_rng(0)
    tiles = Tiles(rng.uniform(-1, 1, (1, 70, 67)), np.zeros((1, 1), np.int32), 1, 70)
    block, below = rng.uniform(-1, 1, (1, 9, 70)), rng.uniform(0, 1, (1, 67))
    for kernel in ("adjoint", "adjoint_tensor"):
        (a, p), (b, q) = (k.adjoint(tiles, block, below, kernel) for k in (kernels, other))
        assert a.tobytes() == b.tobytes() and p.tobytes() == q.tobytes()


@pytest.mark.parametrize("bits", MODES.values(), ids=MODES.keys())
def test_the_callers_floating_point_environment(bits: int, kernels: Native, control) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    """Whatever it is (flush-to-zero of an object built with -ffast-math too), results are the same and it is there afterwards."""
    x = np.full((1, 1, 1), 2.0**-600)
    wanted = kernels.concretise(x, -x[0], -x[0], np.zeros((1, 1)))
    before = control.get_mode()
    control.set_mode((before & ~0xE040) | bits)
    try:
        found = kernels.concretise(x, -x[0], -x[0], np.zeros((1, 1)))
        after = control.get_mode()
    finally:
        control.set_mode(before)
    assert found.tobytes() == wanted.tobytes() and found[0, 0] == -5e-324
    assert after & 0xE040 == bits


def test_sizes(kernels: Native) -> None:
    assert sizes_agree(kernels.loaded)
    for extents in ((-1,), (1 << 31, 1 << 31), (1 << 62, 4)):
        with pytest.raises(OutOfRange):
            checked(*extents)
    huge = np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 20, 1 << 20), (0, 0))
    with pytest.raises((OutOfRange, MemoryError)):
        kernels.run("scale", (1, 1), [None, None, None, None, None, *huge.shape], [])


def test_arrays_that_do_not_fit(kernels: Native) -> None:
    one = np.zeros((1, 1))
    with pytest.raises(ValueError, match="expected"):
        kernels.scale(np.zeros(2), one, one, one, one)
    with pytest.raises(ValueError, match="another layout"):
        kernels.scale(
            np.zeros(2), np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2)).T[:, ::-1], np.zeros((2, 2))
        )
    with pytest.raises(ValueError, match="link"):
        Tiles(np.zeros((1, 1, 1)), np.ones((1, 1), np.int32), 1, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308])
def test_what_is_not_finite_gives_no_bound(bad: float, kernels: Native) -> None:
    engine = Directed(kernels)
    m = MatMap(Constant(np.full((3, 2), 4.0)), 1)
    box = Box(np.full((1, 3), -1.0), np.ones((1, 3)))
    form = engine.form(1, 2)
    form.seed_rows(1, np.array([[[1.0, bad], [1.0, 2.0]]]), None, Box(np.zeros((1, 2)), np.ones((1, 2))))
    form.put(0, form.through_map(m, form.blocks.pop(1), box), box)
    lower = form.lower({0: box})
    assert lower[0, 0] == -np.inf and lower[0, 1] == -36.0
    if not np.isnan(bad):
        with pytest.raises(OutOfRange):
            engine.image((m,), (Box(np.full((1, 3), -np.inf), np.ones((1, 3))),), None)


def test_verify_directed(kernels: Native, capsys: pytest.CaptureFixture[str]) -> None:
    """The margins of ball64, to 1e-9; what it rests on is said."""
    (path,) = (CERTIFICATES / "accept" / "digits-mlp").glob("x.*")
    for semantics in ("real", "deployed"):
        found = [
            verify_path(path, Options(arith=arith, semantics=semantics)).claims[0]
            for arith in ("ball64", "directed")
        ]
        margins = [
            float(c.bound.rigorous.decimal)
            for c in found
            if c.bound is not None and c.bound.rigorous is not None
        ]
        assert found[1].verdict is found[0].verdict and abs(margins[0] - margins[1]) <= 1e-9 * abs(margins[0])
    assert found[1].arithmetic["deciding"] == found[1].arithmetic["intermediate"] == "directed"
    assert found[1].arithmetic["kernels"]["sources_sha256"] == native().library.sources  # type: ignore[index]
    assert any("round downwards" in a for a in found[1].assumptions)


def test_a_plan_travels_and_its_key_holds_the_code(kernels: Native) -> None:
    engine = Directed(kernels)
    again = pickle.loads(pickle.dumps(engine))
    rounds(again.kernels)
    settings = Settings("directed", directed=engine)
    assert key("x", settings) == key("x", replace(settings, directed=again))
    other = Directed(Native(replace(kernels.library, code=kernels.library.code + b"\0")))
    assert key("x", settings) != key("x", replace(settings, directed=other))


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(InvalidInput, match=r"no C compiler.*no-such-compiler"):
        build()
    monkeypatch.delenv("CC")
    monkeypatch.setattr(building, "COMPILERS", ())
    with pytest.raises(InvalidInput, match="no C compiler"):
        build()


def test_a_compiler_that_fails(kernels: Native) -> None:
    with pytest.raises(InvalidInput, match="do not compile here"):
        build("-DMODE=no_such_mode")


@pytest.mark.slow
def test_sanitizers_find_what_is_planted_and_nothing_else(kernels: Native) -> None:
    try:
        runs = list(on_the_host(1))
    except InvalidInput as error:
        pytest.skip(f"a C compiler with sanitizers: {error.line()}")
    assert [(run.tool, run.passed) for run in runs] == [
        ("address, undefined", True),
        ("address", True),
        ("undefined", True),
    ], runs


def test_the_sources_round_downwards_only() -> None:
    """No result of arithmetic is negated (gcc 12 folds -fma(-a, b, -c)), and nothing else rounds a double."""
    for path in folder().glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"-\s*(fma_rd|add_rd|fma_pack)", text), path.name
        if path.name not in ("shim.h", "bands.h"):
            assert not re.search(r"__builtin_|__f|__d[a-z]+_r|\bfma\b", text), path.name


def nvrtc(architecture: str) -> bytes:
    try:
        return compiled(architecture).code
    except InvalidInput as error:
        if error.code == "TLC504":
            pytest.skip(f"could not import NVRTC: {error.line()}")
        raise


def test_ptx_rounds_down_only() -> None:
    text = nvrtc("compute_90").decode()
    names = re.findall(r"\b((?:fma|add|sub|mul|div|mma|cvt|sqrt)\.[\w.]*f64[\w.]*)", text)
    counts = Counter("mma" if name.startswith("mma") else name for name in names)
    assert set(counts) == {"fma.rm.f64", "add.rm.f64", "mma"} and counts["mma"] == 64, counts
    assert all(".rm." in name for name in names)
    assert all(f".entry tlc_{name}(" in text for name in CASES)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_120"])
def test_sass_rounds_down_only(architecture: str, tmp_path: Path) -> None:
    """A double is negated by an addition to zero, exactly; all else is .RM."""
    code = nvrtc(architecture)
    program = next((p for folder in map(Path, sys.path) for p in folder.glob("nvidia/*/bin/cuobjdump")), None)
    found = shutil.which("cuobjdump") or program
    if found is None:
        pytest.skip("could not import cuobjdump: pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm")
    (tmp_path / "k.cubin").write_bytes(code)
    environment = {"PATH": str(Path(found).parent)}
    done = subprocess.run(
        [str(found), "-sass", "k.cubin"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if re.search(r"\bD(FMA|ADD|MUL|MMA)\b", line)]
    plain = [line for line in lines if not re.search(r"\bD(FMA|ADD|MUL|MMA)[.\w]*\.RM\b", line)]
    assert sum("DMMA" in line for line in lines) == 64 and len(lines) > 300
    assert all(re.search(r"\bDADD R\d+, -RZ, -R\d+", line) for line in plain), plain[:3]


def test_without_a_device() -> None:
    try:
        Device()
    except InvalidInput as error:
        assert "no CUDA device here" in error.line()


def test_commands(
    kernels: Native, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert main(["kernels", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(f"kernel     {name}: " in listed for name in CASES) and "sha256" in listed
    assert main(["kernels", "check", "--on", "host", "--entries", "50"]) == 0
    assert "every bound holds" in capsys.readouterr().out
    monkeypatch.setattr("tlcheck.kernels.bench.SHAPES", {"small": (3, 20, 5)})
    assert main(["kernels", "bench", "--on", "host"]) == 0
    assert "dgemm" in capsys.readouterr().out
    assert main(["kernels", "profile", "--on", "host", "--trace", str(tmp_path / "t.json")]) == 0
    assert "multiply-adds/s" in capsys.readouterr().out
    assert '"ph": "X"' in (tmp_path / "t.json").read_text()


def test_a_wrong_bound_is_a_bug(
    kernels: Native, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Native(build(*QUICK, "-DMODE=FE_TONEAREST"))
    monkeypatch.setattr("tlcheck.kernels.native.native", lambda: wrong)
    assert main(["kernels", "check", "--on", "host", "--entries", "50"]) == 70
    assert "a bound is wrong" in capsys.readouterr().out


def test_a_recorder_counts(kernels: Native) -> None:
    recorder = Recorder(kernels)
    tiles = Tiles(np.ones((1, 4, 5)), np.zeros((1, 1), np.int32), 1, 4)
    recorder.adjoint(tiles, np.ones((2, 3, 4)), np.zeros((1, 5)))
    (total,) = recorder.totals()
    assert (total.kernel, total.calls, total.work) == ("adjoint", 1, 2 * 3 * 4 * 5)


def test_a_library_is_plain_data() -> None:
    assert key("x", Library(b"a", "cc", (), "s")) != key("x", Library(b"b", "cc", (), "s"))
