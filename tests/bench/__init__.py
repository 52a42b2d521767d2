"""Benchmarks: tlcheck beside a plain float64 numpy recomputation of the same proofs."""
