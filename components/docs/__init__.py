"""The generated parts of ``docs/``, made from the code, and whether the reference is complete.

A developer's tool (``make docs``, ``make docs-check``): nothing that runs in a node imports it.
"""
