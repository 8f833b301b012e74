"""The tokens that this worker's sessions live by, and which of all tokens are revoked.

Brings together what is revoked, where that is kept, and whom it concerns. What is revoked is in force before it is written
down: who is to be kept out is not let in since a disk is slow or full.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.logger import Logger

from components.core.revocations import Bearer, Key, Revocation, Revocations, key_of
from components.router.access.lifetimes import Lifetime, Lifetimes
from components.router.access.revocation_store import RevocationStore


class LiveTokens:
    """One per router worker."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, store: RevocationStore, clock: Any, wall: Callable[[], float] = time.time) -> None:
        """Let in force what the store has.

        Raises:
            RevocationStoreError: that cannot be known.
        """
        self.lifetimes = Lifetimes(clock, wall)
        self._wall = wall
        self._store = store
        self._revocations = Revocations(store.load())
        self._unwritten: dict[Key, Revocation] = {}
        """Revocations that the store has not confirmed; they go along with the next change."""
        store.watch(clock, self._changed_elsewhere)

    def is_revoked(self, bearer: Bearer) -> bool:
        """Tell whether a token is revoked."""
        return self._revocations.is_revoked(bearer)

    def joined(self, lifetime: Lifetime) -> None:
        """Take note of a session that has joined; should its token have been revoked meanwhile, it is closed."""
        self.lifetimes.add(lifetime)
        if self.is_revoked(lifetime):
            self.lifetimes.close_soon(lifetime)

    def left(self, session_id: int) -> None:
        """Take note of a session that has left."""
        self.lifetimes.remove(session_id)

    def listing(self) -> list[Revocation]:
        """Return what is revoked, in the order in which it was."""
        return self._revocations.listing()

    def revoke(self, *, jti: str | None = None, sub: str | None = None, exp: int | None = None) -> int:
        """Revoke one token, or all of a subject up to now, and close who lives by one; return how many those are.

        In force at once; ``written`` says when it will outlive a restart.

        Raises:
            TooManyRevocations: there is no room; nothing has changed.
        """
        now_s = int(self._wall())
        if exp is not None:
            # A token that is known here is not let in again, whatever was thought of its end.
            exp = max([exp, *self.lifetimes.ends_of(jti, sub)])
        revocation: Revocation = (
            self._revocations.revoke_jti(jti, now_s, exp)
            if jti is not None
            else self._revocations.revoke_sub(str(sub), now_s, exp)
        )
        self._unwritten[key_of(revocation)] = revocation
        return self._close_revoked()

    async def written(self) -> None:
        """Return when all revocations are where a restart finds them.

        Raises:
            RevocationStoreError: they cannot be written; they go along with the next change.
        """
        unwritten = dict(self._unwritten)
        if unwritten:
            await self._store.apply(unwritten.values())
            for key, revocation in unwritten.items():
                if self._unwritten.get(key) is revocation:
                    del self._unwritten[key]

    async def lift(self, kind: type[Revocation], name: str) -> bool:
        """Take a revocation back; return whether there was one.

        Raises:
            RevocationStoreError: it is taken back here, but cannot be so where it is kept.
        """
        lifted = self._revocations.lift(kind, name)
        if lifted is None:
            return False
        self._unwritten.pop(key_of(lifted), None)
        await self._store.apply((), [lifted])
        return True

    def _close_revoked(self) -> int:
        return self.lifetimes.close_revoked(self._revocations.is_revoked)

    def _changed_elsewhere(self, revocations: list[Revocation]) -> None:
        """Be told what the store has: another worker of the node may have changed it."""
        self._revocations.replace([*revocations, *self._unwritten.values()])
        closed = self._close_revoked()
        if closed:
            self.life_log.info("{closed} sessions closed: their tokens were revoked elsewhere", closed=closed)
