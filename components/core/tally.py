"""How many there are of each of many things, such as sessions of an authid; what is gone takes no memory. Pure."""

from __future__ import annotations

from collections.abc import Hashable


class Tally:
    """Counts by key; keys with nothing are forgotten."""

    def __init__(self) -> None:
        self._counts: dict[Hashable, int] = {}

    def __getitem__(self, key: Hashable) -> int:
        """Return how many there are."""
        return self._counts.get(key, 0)

    def __len__(self) -> int:
        """Return how many keys have any."""
        return len(self._counts)

    def add(self, key: Hashable) -> None:
        """Count one more."""
        self._counts[key] = self._counts.get(key, 0) + 1

    def remove(self, key: Hashable) -> None:
        """Count one less.

        Raises:
            KeyError: there is none.
        """
        count = self._counts[key] - 1
        if count:
            self._counts[key] = count
        else:
            del self._counts[key]
