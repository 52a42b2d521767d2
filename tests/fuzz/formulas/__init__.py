"""Random VNN-LIB texts: what the readers make of them against an evaluator of the text that shares no code with them.

``meaning``: the evaluator; ``write``: seeded texts; ``run``: comparison at points, boundaries included.
"""
