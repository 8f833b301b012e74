"""Everything that runs in a Crosstick node: feed, bus, router components, the simulated exchange and the command line."""
