"""What two engines that disagree end a run with: a bug, never a verdict."""

from __future__ import annotations


class EnginesDisagree(RuntimeError):
    """Two engines gave enclosures that cannot both be right."""
