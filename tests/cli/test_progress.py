"""Progress by a clock that the test controls: how much time is left, and how many lines a log gets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.clocks import without_progress
from tlcheck.cli import progress as module
from tlcheck.cli.progress import MAX_LINES, Due, Pace, count_bar, progress_bar
from tlcheck.options import Progress


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "clock", made)
    return made


def estimates(seconds: list[float]) -> list[tuple[float | None, float]]:
    """(said, true) time left after each item, where item k takes ``seconds[k]``."""
    pace, now, found = Pace(), 0.0, []
    pace.left(0, len(seconds), now)
    for done, took in enumerate(seconds, start=1):
        now += took
        found.append((pace.left(done, len(seconds), now), sum(seconds[done:])))
    return found


SLOW_FIRST = [80.0] + [1.0] * 99


def test_a_slow_first_item_is_not_taken_for_the_rest() -> None:
    """Items done so far, times the time per item, would say two hours where there are 99 seconds."""
    said = [(left, true) for left, true in estimates(SLOW_FIRST) if left is not None]
    assert len(said) >= 95
    for left, true in said:
        assert left == pytest.approx(true, rel=0.01)


def test_nothing_is_said_before_there_is_evidence() -> None:
    found = [left for left, _ in estimates(SLOW_FIRST)]
    assert found[:3] == [None] * 3
    assert [left for left, _ in estimates([0.001] * 100)] == [None] * 100


@pytest.mark.parametrize(
    "seconds",
    [
        [1.0] * 50,
        [float(1 + k % 7) for k in range(200)],
        [10.0] * 5 + [1.0] * 200,
        [1.0 + k / 50 for k in range(100)],
        [0.0] * 3 + [5.0] * 40,
    ],
)
def test_estimates_are_within_a_factor_of_two_once_a_tenth_is_done(seconds: list[float]) -> None:
    for k, (left, true) in enumerate(estimates(seconds)):
        if left is not None and len(seconds) // 5 <= k < len(seconds) - 1:
            assert true / 2 <= left <= 2 * true


def test_a_long_wait_raises_the_estimate() -> None:
    pace = Pace()
    for done in range(11):
        pace.left(done, 20, float(done))
    before, after = pace.left(10, 20, 10.0), pace.left(10, 20, 110.0)
    assert before is not None and after is not None and after > 10 * before


def test_chunks_need_more_than_one() -> None:
    pace = Pace()
    assert pace.left(0, 4000, 0.0) is None
    assert pace.left(1000, 4000, 100.0) is None
    assert pace.left(2000, 4000, 110.0) == pytest.approx(20.0)


def test_a_new_pass_starts_anew() -> None:
    pace = Pace()
    for done in range(11):
        pace.left(done, 10, 5.0 * done)
    assert pace.left(0, 10, 60.0) is None
    assert pace.left(3, 10, 61.0) is None


def test_many_items_keep_the_marks_few() -> None:
    pace = Pace()
    for done in range(20_000):
        left = pace.left(done, 40_000, done / 100)
    assert left == pytest.approx(200, rel=0.05)
    assert len(pace._marks) <= module.MOST_MARKS


def run(clock: Clock, seconds: list[float], tell: Callable[[int], None]) -> None:
    tell(0)
    for done, took in enumerate(seconds, start=1):
        clock.time += took
        tell(done)


@pytest.mark.parametrize(
    ("seconds", "least", "most"),
    [([0.01] * 100, 0, 0), ([1.0] * 100, 8, 10), ([60.0] * 100, 10, 18), ([3600.0] * 1000, 10, MAX_LINES),
     ([5.0] * 10, 4, 5), ([0.5] * 20_000, 10, 30)],
)  # fmt: skip
def test_a_log_gets_a_few_lines(
    clock: Clock, capsys: pytest.CaptureFixture[str], seconds: list[float], least: int, most: int
) -> None:
    with progress_bar(True) as tell:
        assert tell is not None
        run(
            clock, seconds, lambda done: tell(Progress("certs/a.json", done, len(seconds), -0.25, "examples"))
        )
    said = capsys.readouterr().err
    assert (
        without_progress(said) == "" and without_progress(f"{said}tlcheck: a word\n") == "tlcheck: a word\n"
    )
    lines = said.splitlines()
    assert least <= len(lines) <= most
    for line in lines:
        assert line.startswith("certs/a.json: ")
        assert f" of {len(seconds)} examples (" in line
        assert "worst margin -0.25" in line


def test_lines_are_never_more_than_a_bounded_number(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(True) as tell:
        assert tell is not None
        for turn in range(500):
            run(clock, [100.0] * 10, lambda done, n=turn: tell(Progress("a", done, 10 + n, None, "leaves")))  # type: ignore[misc]
    assert len(capsys.readouterr().err.splitlines()) == MAX_LINES


def test_lines_show_nothing_that_a_terminal_obeys(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(True) as tell:
        assert tell is not None
        run(clock, [20.0] * 10, lambda done: tell(Progress("a\x1b[2J\n", done, 10, None, "leaves")))
    assert all(line.isprintable() for line in capsys.readouterr().err.splitlines())


def test_quiet_says_nothing() -> None:
    with progress_bar(False) as tell:
        assert tell is None


def test_a_long_run_counts_on_a_pipe(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with count_bar("rulings") as bar:
        run(clock, [80.0] + [1.0] * 99, lambda done: bar(done, 100, "x"))
    said = capsys.readouterr().err
    assert without_progress(said) == ""
    lines = said.splitlines()
    assert 5 <= len(lines) <= 12
    assert lines[-1].startswith(("9", "100 of 100 rulings"))
    for line in lines:
        if " left" in line:
            done = int(line.split()[0])
            minutes, seconds = line.rsplit("about ", 1)[1].split()[0].split(":")[1:]
            assert abs(60 * int(minutes) + int(seconds) - (100 - done)) <= 1


def test_due_waits_longer_and_longer_without_news(clock: Clock) -> None:
    due = Due()
    said = []
    for second in range(100_000):
        if due.now(clock.time + second, 1, 1000):
            said.append(second)
    gaps = [b - a for a, b in zip(said, said[1:], strict=False)]
    assert said[0] == 30
    assert gaps == sorted(gaps)
    assert len(said) < 13
