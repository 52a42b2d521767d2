"""tlcheck: decides whether a claim about a neural network is proved by its certificate."""

__version__ = "0.1.0"
