"""The exchange's listening port: opens, closes and opens again on the same number; knows no protocol."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import CannotListenError


class ExchangeStartError(Exception):
    """The exchange cannot start; the text is one line for the operator."""


class Listener:
    """One TCP port. A port number of 0 is replaced by the number the system chose, and kept from then on."""

    def __init__(self, reactor: Any, host: str, port: int, factory: Any) -> None:
        """Prepare to hand connections to ``factory``; nothing listens before ``listen``."""
        self.port = port
        self._reactor = reactor
        self._host = host
        self._factory = factory
        self._listening: Any = None

    def listen(self) -> int:
        """Listen, unless it does already; return the port's number.

        Raises:
            ExchangeStartError: the port cannot be had.
        """
        if self._listening is None:
            try:
                self._listening = self._reactor.listenTCP(self.port, self._factory, interface=self._host)
            except CannotListenError as error:
                raise ExchangeStartError(f"cannot listen on {self._host}:{self.port}: {error.socketError}") from error
            self.port = self._listening.getHost().port
        return self.port

    async def close(self) -> None:
        """Stop listening; connections that are there stay."""
        listening, self._listening = self._listening, None
        if listening is not None:
            await listening.stopListening()
