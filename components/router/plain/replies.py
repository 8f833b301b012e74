"""What is said to a plain client: gathered while a turn lasts, and written at once."""

from __future__ import annotations

from components.core import plain_json
from components.core.limits import Refusal
from components.core.plain_json import OptionalId
from components.router.plain.connection import Connection
from components.uris import ERROR_LIMIT_EXCEEDED

MAX_GATHERED_BYTES = 65_536
"""Of what is to be said: with more it is written, and counts against a session that does not read."""


class Replies:
    """One per connection."""

    def __init__(self, connection: Connection) -> None:
        """Write to a connection."""
        self.gathers = False
        """Whether a turn lasts, at whose end ``flush`` is called; else what is said is written at once."""
        self._connection = connection
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0

    def say(self, *objects: bytes) -> None:
        """Say objects, after the events that wait: a reply comes after what was published before it."""
        if self._connection.is_over:
            return
        if not self._gathered:
            # Nothing is published while a turn lasts.
            self._connection.begin_reply()
        self.send(self._connection.plain_encoding.objects(list(objects)))
        if not self.gathers:
            self.flush()

    def say_refused(self, refusal: Refusal, request_id: OptionalId) -> None:
        """Say which limit has no room for a request."""
        limit, value = refusal
        shown = int(value) if value == int(value) else value
        text = f"{limit} is {shown}"
        self.say(plain_json.error(ERROR_LIMIT_EXCEEDED, text, request_id, limit=limit, value=shown))

    def send(self, frames: list[bytes]) -> None:
        """Have frames written with what has been said."""
        self._gathered += frames
        self._gathered_bytes += sum(map(len, frames))
        if self._gathered_bytes >= MAX_GATHERED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what has been said."""
        frames, self._gathered, self._gathered_bytes = self._gathered, [], 0
        if frames and not self._connection.is_over:
            self._connection.send_frames(frames)
