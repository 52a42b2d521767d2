"""Around a check: what its results are kept under."""
