"""Times and bounds of the Redis bus's writer."""

from __future__ import annotations

from dataclasses import dataclass, field

from components.core.written_batches import KeptLimits


@dataclass(frozen=True, slots=True)
class RedisWriterLimits:
    """Times and bounds of a writer."""

    lease_s: float = 2.0
    """How long the lead outlives a leader that is gone; renewed thrice in that time."""

    standby_interval_s: float = 0.25
    """How often who stands by asks for the lead. With the lease: how long a crash leaves nobody leading."""

    standby_known_s: float = 1.0
    """How long a feed that is ready counts as one that stands by after it has asked for the lead: some times that interval."""

    looks_unready: int = 2
    """A leader that is not ready yields to one that is when it has found that to be so thrice a lease, this often in a row."""

    yield_s: float = 1.0
    """How long who has yielded the lead does not ask for it: longer than another feed needs to take it."""

    patience_s: float = 3.0
    """How long who stood by and reaches Redis again leaves the lead to its last holder, which has kept what it wrote.

    And how long at most who has just started, and is not ready.
    """

    batches_in_flight: int = 64
    """Written and not yet answered. More lie in buffers of the kernel only, fewer wait for the network."""

    stream_batches: int = 50_000
    """Which the stream keeps, about; the oldest go first."""

    stream_age_s: float = 120.0
    """How old what the stream keeps may be, about: as long as a gateway may be away and still miss nothing."""

    trim_interval_s: float = 5.0
    stop_timeout_s: float = 2.0
    """How long ``stop`` waits for Redis to have everything."""

    kept: KeptLimits = field(default_factory=KeptLimits)
    """What is kept to be written, and written again."""
