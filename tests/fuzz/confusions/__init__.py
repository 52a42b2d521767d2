"""Files, tensors and keys put in each other's place: no claim is CERTIFIED that is not true of the files which it then names.

``made``: small networks and properties, the bundles of all pairs, and the truth, which is computed from the bytes themselves;
``swaps``: the confusions; ``run``: many of them, of bundles, counterexample files and results folders.
"""
