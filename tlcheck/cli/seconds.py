"""An option's number of seconds."""

from __future__ import annotations

import re
from typing import Any, Final

import click

DURATION: Final = re.compile(
    r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)?", re.IGNORECASE
)
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
"""Seconds in each, by its first letter."""


class Seconds(click.FloatRange):
    """A number of seconds above 0; durations in words are refused with the number to write."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = DURATION.fullmatch(str(value).strip())
        if found is not None and found[2]:
            seconds = float(found[1]) * UNITS[found[2][0].lower()]
            self.fail(f"{value!r} is not a number of seconds; write {seconds:g}", param, ctx)
        try:
            float(value)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is not a number of seconds, such as 300", param, ctx)
        return super().convert(value, param, ctx)
