"""Makes what is wanted be so, one key at a time, whatever happens to be under way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

Made = TypeVar("Made")


class Reconciler(Generic[Made]):
    """Keeps one thing, such as a registration, for each key that is wanted.

    At most one step of a key is under way; when it is done, what is wanted is looked at once more. A step that fails is told
    of, and the key is left alone until it is checked again.
    """

    def __init__(
        self,
        wanted: Callable[[str], bool],
        make: Callable[[str], Awaitable[Made]],
        unmake: Callable[[str, Made], Awaitable[None]],
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._wanted = wanted
        self._make = make
        self._unmake = unmake
        self._failed = failed
        self._made: dict[str, Made] = {}
        self._busy: set[str] = set()

    def check(self, key: str) -> None:
        """See to it that what is wanted of a key is so."""
        if key not in self._busy and self._wanted(key) != (key in self._made):
            self._busy.add(key)
            # It tells of all errors by itself.
            Deferred.fromCoroutine(self._settle(key))

    def lost(self, key: str) -> Made | None:
        """Take note that what was made is there no more, and return it."""
        return self._made.pop(key, None)

    async def _settle(self, key: str) -> None:
        try:
            while self._wanted(key) != (key in self._made):
                if self._wanted(key):
                    self._made[key] = await self._make(key)
                else:
                    await self._unmake(key, self._made.pop(key))
        except Exception as error:
            self._failed(key, error)
        finally:
            self._busy.discard(key)
