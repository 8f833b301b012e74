"""How a feed goes on that has been given the lead on a bus which may have lost what it had.

Rules, in the order in which they are tried:

- Who led last, as far as the bus knows, and has all that the bus lacks, writes that again and goes on: nobody notices.
- Who led last and finds the bus empty, or further back than what it kept, begins at what it kept.
- Who takes over from another goes on from what stands, if the bus is still the server that it was: nothing is lost then.
- Who takes over from another on a server that has started anew or failed over begins an epoch: readers may have read what that
  server does not have, and what would be written under the same numbers could be something else.

Pure: what the bus answered comes in, what to do goes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from components.core.written_batches import WrittenBatches


class GoOn(Enum):
    """What a feed that has just been given the lead does."""

    REWRITE = "write again what the bus lacks, and go on"
    RESTORE = "put the bus back to where the kept batches begin, write them again, and go on"
    CONTINUE = "go on from what stands"
    BEGIN = "begin an epoch"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a bus said when it gave the lead."""

    token: int
    """The fencing token of this lead, greater than all before it that the bus knows."""

    token_before: int
    """Of the lead before it; 0 where the bus knows of none."""

    same_server: bool
    """Whether the server is the one that gave the lead before: neither started anew nor another one."""

    epoch: int
    """0 where nothing stands."""

    number: int


def go_on(grant: Grant, own_token: int, kept: WrittenBatches | None) -> GoOn:
    """Return how to go on.

    ``own_token`` is of the lead that this feed still holds itself to have, 0 if none; ``kept`` what it wrote in it, ``None``
    where that became too much.
    """
    if grant.token_before > own_token:
        return GoOn.CONTINUE if grant.epoch and grant.same_server else GoOn.BEGIN
    if kept is None or grant.epoch > kept.epoch:
        return GoOn.BEGIN
    if grant.epoch == kept.epoch and kept.has_after(grant.number):
        return GoOn.REWRITE
    return GoOn.BEGIN if grant.epoch == kept.epoch and grant.number > kept.last else GoOn.RESTORE
