"""Fuzzing of everything that reads a client's bytes: ``make fuzz``."""

import txaio

# Before anything of Autobahn is imported.
txaio.use_twisted()
