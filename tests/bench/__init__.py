"""Tests of the benchmark: that it runs, and that it cannot be fooled."""
