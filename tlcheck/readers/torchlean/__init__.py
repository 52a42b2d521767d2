"""Readers of TorchLean artifacts, one module per format; ``tlcheck.readers.artifacts`` says which is which."""
