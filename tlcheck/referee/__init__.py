"""Refereeing the Verification of Neural Networks Competition. Ring 2: certified facts come from ``trusted.decide``."""
