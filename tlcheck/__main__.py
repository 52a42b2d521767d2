"""``python -m tlcheck``."""

from __future__ import annotations

from tlcheck.cli.main import entry

if __name__ == "__main__":
    entry()
