"""Native float64 kernels with directed rounding (the folder ``kernels`` of the repository): built, called, tested.

``--arith directed`` rests on ``build`` and ``native``, which are ring 1: they must hand the sources to the compiler and the
numbers to the kernels as they are. The others test and measure.
"""
