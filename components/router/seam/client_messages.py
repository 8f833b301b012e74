"""WAMP messages as clients send them, until a session has them: the seam's part inside Autobahn's transports.

Written against autobahn 26.10.2. What cannot be read is the client's mistake, whatever the type of the error by which Autobahn
says so: it ends that connection as a violation of the protocol, and is worth no traceback.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from autobahn.wamp.exception import InvalidUriError, ProtocolError
from twisted.logger import Logger

PROTOCOL_ERROR = 1002

JSON_SEPARATOR = b"\x18"
"""Of the messages in a batch (WAMP specification, "Batched Transport")."""

MAX_BATCH = 100
"""Messages in one of a batched serializer's: they are handled in one go, while everybody else waits."""

life_log = Logger()


def deliver(
    session: Any,
    serializer: Any,
    payload: bytes,
    is_binary: bool | None,
    close: Callable[[str], None],
) -> bool:
    """Read the messages in ``payload`` and hand them to a session; return whether that was possible.

    ``close`` is told what was wrong with them. What a session raises that is no violation of the protocol is raised here.
    """
    try:
        messages = serializer.unserialize(payload, is_binary)
    except Exception as error:
        close(_text(f"WAMP Protocol Error ({error})"))
        return False
    if _is_no_text(serializer, payload):
        # It could neither be sent on nor quoted in an answer.
        close("WAMP Protocol Error (a surrogate by itself is no text)")
        return False
    if not messages:
        # A batch of none, which would pass every count.
        close("WAMP Protocol Error (no message)")
        return False
    if len(messages) > MAX_BATCH:
        close(f"WAMP Protocol Error (a batch of {len(messages)} messages, more than {MAX_BATCH})")
        return False
    for message in messages:
        try:
            session.onMessage(message)
        except (ProtocolError, InvalidUriError) as error:
            close(_text(f"WAMP Protocol Error ({error})"))
            return False
    return True


def _is_no_text(serializer: Any, payload: bytes) -> bool:
    """Tell whether JSON has half of a surrogate pair as an escape, which Python takes for text."""
    if (b"\\ud" not in payload and b"\\uD" not in payload) or serializer._serializer.NAME != "json":
        return False
    try:
        for message in filter(None, payload.split(JSON_SEPARATOR)):
            msgspec.json.decode(message)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return True
    return False


def _text(reason: str) -> str:
    """Return a reason that can be sent: what a client sent may be in it, and be no text."""
    return reason.encode("ascii", "backslashreplace").decode()


class ReadsMessages:
    """Of a WebSocket connection: to come before Autobahn's own class."""

    _session: Any
    _serializer: Any
    _bailout: Callable[[int, str], None]

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        try:
            deliver(self._session, self._serializer, payload, isBinary, self._violated)
        except Exception as error:
            life_log.failure("a message of a client could not be handled")
            self._bailout(1011, _text(f"WAMP Internal Error ({error})"))

    def _violated(self, reason: str) -> None:
        self._bailout(PROTOCOL_ERROR, reason)
