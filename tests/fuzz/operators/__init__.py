"""One-operator models: the reader's exact value against onnxruntime, the reference evaluator and shape inference.

``model``: a node and what feeds it; ``recipes``: seeded nodes of every operator; ``oracles``: what others say;
``compare``: when that is a difference; ``known``: the oracles' own defects; ``run``: many models in watched processes.
"""
