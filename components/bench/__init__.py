"""The benchmark: Crosstick, stock Crossbar and NATS under the same load, one after another in one run.

A developer's tool: needs Linux and a C compiler. Method and results are in ``tests/bench/README.md``.
"""
