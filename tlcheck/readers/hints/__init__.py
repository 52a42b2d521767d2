"""Other tools' work on a query, read as hints: where their search split, leaf by leaf.

Guidance only. What is read may be incomplete, about another network, or nonsense: it can cost a search time, and nothing else.
A file that is malformed raises InvalidInput, as everywhere.
"""

from tlcheck.readers.hints.leaves import Hints, LeafList, Leaves
from tlcheck.readers.hints.read import read_hints
from tlcheck.readers.hints.subject import Subject

__all__ = ["Hints", "LeafList", "Leaves", "Subject", "read_hints"]
