"""The fan-out: events are gathered, written once per session and few milliseconds, and held and merged for who does not read.

Knows nothing of Crossbar.
"""
