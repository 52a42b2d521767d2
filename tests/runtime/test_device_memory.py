"""Memory of a device: what sessions say of their pool, and what is said of it. Growth itself is untested without a GPU."""

from __future__ import annotations

import pytest

from tests.trusted.test_zonotopes import mlp
from tlcheck.conformance.run_document import Memory
from tlcheck.conformance.run_formats import _memory
from tlcheck.runtime.device_memory import grown, pool_limit_mib, used_mib
from tlcheck.runtime.ort import devices
from tlcheck.runtime.pinned import Pin, pinned


def test_a_session_on_the_cpu_has_no_pool_on_a_device() -> None:
    assert pool_limit_mib(pinned(mlp("Relu"), Pin()).session.get_provider_options()) is None


@pytest.mark.skipif("cuda" not in devices(), reason="no CUDA device")
def test_a_session_on_a_device_holds_memory() -> None:
    before = used_mib()
    session = pinned(mlp("Relu"), Pin("cuda"))
    after = used_mib()
    held = grown(before, after)
    assert "CUDAExecutionProvider" in session.session.get_provider_options() and (held is None or held > 0)


@pytest.mark.parametrize(
    ("said", "limit"),
    [("1073741824", 1024.0), ("18446744073709551615", None), ("", None), ("all", None), ("-1", None)],
)
def test_limits_as_the_provider_writes_them(said: str, limit: float | None) -> None:
    assert (
        pool_limit_mib({"CPUExecutionProvider": {}, "CUDAExecutionProvider": {"gpu_mem_limit": said}})
        == limit
    )


def test_what_grew() -> None:
    assert grown(100.0, 612.5) == 512.5 and grown(612.5, 100.0) == 0 and grown(None, 1.0) is None


def test_what_is_said() -> None:
    assert _memory(Memory(peak_host_mib=90.4)) == "peak 90 MiB"
    found = Memory(
        peak_host_mib=90.4, device_used_mib=900.2, device_pool_mib=512.4, device_pool_limit_mib=1024.0
    )
    assert _memory(found) == "peak 90 MiB, device pool 512 of at most 1024 MiB, device 900 MiB"
