"""A hostile client set: attacks by the hundred in a process of its own, and what the gateway made of each."""
