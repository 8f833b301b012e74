"""The simulated exchange: the embedded default upstream, and the double the tests connect to."""
