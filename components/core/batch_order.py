"""In which order a reader hands on the batches that a bus brings: once each, and what is missing said by its numbers.

Rules, in the order in which they are tried:

- a batch of an earlier epoch, or one that was read before, is passed over;
- the first batch of a later epoch is its number 1, the next one of an epoch one more than the last;
- a batch that is further on is taken, and those between are missing for good: a bus brings batches in order.

Pure state, no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MissingBatches:
    """Batches that can no longer be had."""

    epoch: int
    first: int
    last: int

    @property
    def number(self) -> int:
        """How many they are."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        """Return their numbers for the log."""
        return f"{self.first} to {self.last} of epoch {self.epoch}"


@dataclass(frozen=True, slots=True)
class Step:
    """What a batch is to a reader."""

    is_next: bool
    """To be handed on; otherwise it was, or is of an earlier epoch."""

    missing: MissingBatches | None = None
    """What should have come before it."""


_NEXT = Step(True)
_HAD = Step(False)


class BatchOrder:
    """Where one reader stands."""

    def __init__(self) -> None:
        """Begin before everything: the first batch that comes is taken, whatever its number."""
        self.epoch = 0
        """0: nothing has been read."""

        self.number = 0

    def is_at_least(self, epoch: int, number: int) -> bool:
        """Tell whether that batch has been read or passed."""
        return (self.epoch, self.number) >= (epoch, number)

    def begin_after(self, epoch: int, number: int) -> None:
        """Stand behind that batch, wherever the reader stood."""
        self.epoch, self.number = epoch, number

    def take(self, epoch: int, number: int) -> Step:
        """Return what the batch is, and stand behind it if it is one to be handed on."""
        if self.is_at_least(epoch, number):
            return _HAD
        expected = self.number + 1 if epoch == self.epoch else 1
        if not self.epoch:
            # Nothing was read: reading begins here.
            expected = number
        self.epoch, self.number = epoch, number
        return _NEXT if number == expected else Step(True, MissingBatches(epoch, expected, number - 1))
