"""Calls that go past Crossbar's dealer: those by which a feed hands its batches to the node.

Crossbar's way by an INVOCATION and a YIELD costs more than a batch of ticks. Of the seam: written against crossbar 26.10.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from autobahn.wamp import ApplicationError, message
from twisted.logger import Logger

from components.bus.read_ahead import read_ahead
from components.uris import ERROR_RUNTIME


class DirectCalls:
    """Those of one router."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, router: Any) -> None:
        """Answer on behalf of a realm's ``router``."""
        self._router = router
        self._procedures: dict[str, Callable[[bytes], None]] = {}
        self._transport: Any = None
        """By which the last one has come."""

    def answer_directly(self, procedure: str, take: Callable[[bytes], None]) -> None:
        """Let calls of a procedure that is registered here, with bytes as their one argument, reach ``take`` at once.

        Only a call that Crossbar has authorised before, and remembers so, goes past it. An ``ApplicationError`` is answered as
        it would be there.
        """
        self._procedures[procedure] = take

    def read_ahead(self) -> None:
        """Read what has come on the connection by which direct calls come."""
        if self._transport is not None:
            read_ahead(self._transport)

    def answered(self, session: Any, call: Any) -> bool:
        """Answer a CALL whose procedure has a direct way; return whether it had."""
        take = self._procedures.get(call.procedure)
        if (
            take is None
            or not call.args
            or len(call.args) != 1
            or type(call.args[0]) is not bytes
            or call.kwargs
            or call.receive_progress
            or call.forward_for
            or self._router.is_traced
        ):
            return False
        remembered = self._router._authorization_cache.get((session._realm, session._authrole, call.procedure, "call"))
        if not remembered or not remembered["allow"]:
            return False
        self._transport = getattr(session._transport, "transport", None)
        answer = message.Result(call.request, args=[None])
        try:
            take(call.args[0])
        except ApplicationError as error:
            answer = _error(call, error.error, *error.args)
        except Exception as error:
            # As Crossbar does with what a procedure raises by mistake: without an answer the caller would wait for ever.
            self.life_log.failure("a call of {procedure} failed", procedure=call.procedure)
            answer = _error(call, ERROR_RUNTIME, str(error))
        self._router.send(session, answer)
        return True


def _error(call: Any, uri: str, *arguments: object) -> Any:
    return message.Error(message.Call.MESSAGE_TYPE, call.request, uri, args=list(arguments))
