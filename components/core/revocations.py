"""Which tokens operators have taken back: single ones by ``jti``, or all of a ``sub`` up to a moment. Pure: times come in.

Rules: a ``jti`` is revoked whatever else its token says. Of a revoked ``sub`` every token is revoked that was issued (``iat``)
at that second or before it, or that does not say when it was issued; a token of the seconds after it is good. Nothing is
forgotten while it may matter: what was given an ``exp`` is kept for ``KEPT_AFTER_EXP_S`` beyond it, all else until it is
lifted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Protocol, TypeVar

import msgspec
from msgspec import Meta

MAX_REVOCATIONS = 100_000
KEPT_AFTER_EXP_S = 3600
"""Longer than any grace of a session and any difference between clocks."""

MAX_NAME_CHARS = 128
MAX_TIME_S = 2**53

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS, pattern=r"^[\x21-\x7e]+\Z")]
"""What a token can have as its ``jti`` or ``sub``."""

Time = Annotated[int, Meta(ge=0, le=MAX_TIME_S)]


class TooManyRevocations(Exception):
    """There is no room for one more; the text says how to make some."""


class Bearer(Protocol):
    """As much of a token's claims as revocation looks at."""

    @property
    def sub(self) -> str: ...
    @property
    def jti(self) -> str | None: ...
    @property
    def iat(self) -> int | None: ...


class RevokedToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="jti", tag_field="by"):
    """A single token."""

    name: Name
    """Its ``jti``."""

    revoked_at: Time
    """Unix time in s, as all times here."""

    exp: Time | None = None
    """When the token ends by itself; ``None`` if not known."""


class RevokedSubject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="sub", tag_field="by"):
    """All tokens of a subject that were issued at ``revoked_at`` or before."""

    name: Name
    """The ``sub``."""

    revoked_at: Time
    exp: Time | None = None
    """When the last of them ends by itself; ``None`` if not known."""


Revocation = RevokedToken | RevokedSubject
Key = tuple[type, str]
_Kind = TypeVar("_Kind", bound=Revocation)


def key_of(revocation: Revocation) -> Key:
    """Return what a revocation is about: two with the same key are one."""
    return type(revocation), revocation.name


def joined(one: _Kind, other: _Kind) -> _Kind:
    """Return the revocation that is in force when two of the same key are: the longest of either."""
    exp = None if one.exp is None or other.exp is None else max(one.exp, other.exp)
    return msgspec.structs.replace(one, revoked_at=max(one.revoked_at, other.revoked_at), exp=exp)


class Revocations:
    """What is revoked, at most ``most`` entries."""

    def __init__(self, revocations: Iterable[Revocation] = (), most: int = MAX_REVOCATIONS) -> None:
        self._most = most
        self._entries: dict[Key, Revocation] = {}
        self.replace(revocations)

    def __len__(self) -> int:
        return len(self._entries)

    def is_revoked(self, bearer: Bearer) -> bool:
        """Tell whether a token is revoked."""
        entries = self._entries
        if not entries:
            return False
        if bearer.jti is not None and (RevokedToken, bearer.jti) in entries:
            return True
        subject = entries.get((RevokedSubject, bearer.sub))
        return subject is not None and (bearer.iat is None or bearer.iat <= subject.revoked_at)

    def revoke_jti(self, jti: str, now_s: int, exp: int | None = None) -> RevokedToken:
        """Revoke a token that ends by itself at ``exp``; return what is in force from here on.

        Raises:
            TooManyRevocations: there is no room; nothing has changed.
        """
        return self._add(RevokedToken(jti, now_s, exp), now_s)

    def revoke_sub(self, sub: str, now_s: int, exp: int | None = None) -> RevokedSubject:
        """Revoke all tokens of a subject that were issued up to now, the last of which ends at ``exp``; return likewise.

        Raises:
            TooManyRevocations: there is no room; nothing has changed.
        """
        return self._add(RevokedSubject(sub, now_s, exp), now_s)

    def lift(self, kind: type[Revocation], name: str) -> Revocation | None:
        """Take a revocation back; return it, or ``None`` when there was none."""
        return self._entries.pop((kind, name), None)

    def listing(self) -> list[Revocation]:
        """Return all revocations, in the order in which they were made."""
        return list(self._entries.values())

    def replace(self, revocations: Iterable[Revocation]) -> None:
        """Let these be in force, and no others."""
        entries: dict[Key, Revocation] = {}
        for revocation in revocations:
            key = key_of(revocation)
            entries[key] = joined(revocation, entries[key]) if key in entries else revocation
        self._entries = entries

    def sweep(self, now_s: int) -> None:
        """Forget what cannot matter any more: all tokens concerned have long ended by themselves."""
        self._entries = {key: one for key, one in self._entries.items() if not is_over(one, now_s)}

    def _add(self, revocation: _Kind, now_s: int) -> _Kind:
        key = key_of(revocation)
        known = self._entries.get(key)
        if isinstance(known, type(revocation)):
            revocation = joined(revocation, known)
        elif len(self._entries) >= self._most:
            self.sweep(now_s)
            if len(self._entries) >= self._most:
                raise TooManyRevocations(f"there are {self._most} revocations already: lift some first")
        self._entries[key] = revocation
        return revocation


def is_over(revocation: Revocation, now_s: int) -> bool:
    """Tell whether a revocation cannot matter any more."""
    return revocation.exp is not None and revocation.exp + KEPT_AFTER_EXP_S < now_s
