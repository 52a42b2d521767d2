"""The solver interface of VNN-LIB 2.0 (chapter 5): search outside, the trusted kernel decides.

Nothing here can make an answer true: ``sat`` needs a witness CERTIFIED by ``trusted.decide.decide_sat``, ``unsat`` a
proof CERTIFIED by ``trusted.decide.conclude_unsat``. Everything else is ``unknown``.
"""
