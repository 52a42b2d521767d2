"""Verdicts. Only ``decide.py`` constructs a CERTIFIED or REFUTED one."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    CERTIFIED = "CERTIFIED"
    REFUTED = "REFUTED"
    UNPROVEN = "UNPROVEN"
    INVALID = "INVALID"
