"""How this process reaches its Redis: one connection at a time, with a deadline for every command.

Owns addresses, TLS, credentials and the question to the Sentinels; knows nothing of batches. TCP alone does not tell of
a server that has stalled, or of a cable that was pulled: what is not answered in time ends the connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import hiredis
import txredisapi
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.protocol import Factory
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure

from components.bus.read_ahead import read_ahead
from components.bus.redis.scripts import Script
from components.core.redis_address import RedisAddress

CONNECT_TIMEOUT_S = 2.0
COMMAND_DEADLINE_S = 2.0
MAX_REASON_CHARS = 200


class RedisTrouble(Exception):
    """Redis did not do what it was asked; the text is one line for the operator."""


class RedisUnavailable(RedisTrouble):
    """There is no connection, or there is one no more."""


class RedisRefused(RedisTrouble):
    """Redis answered with an error; ``code`` is its first word, such as ``OOM`` or ``READONLY``."""

    def __init__(self, text: str) -> None:
        super().__init__(text[:MAX_REASON_CHARS])
        self.code = text.partition(" ")[0]


class _Protocol(txredisapi.RedisProtocol):  # type: ignore[misc]  # txredisapi ships no types
    """txredisapi's protocol with bytes for answers, and commands put together by hiredis: twenty times faster."""

    def __init__(self) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self.cause = ""
        """Why the connection ended, as far as is known."""

    def connectionLost(self, why: Failure) -> None:
        self.cause = self.cause or _line(why.value)
        # Answers to all that has not been answered: with an error.
        super().connectionLost(why)

    def _build_command(self, *args: Any, **_options: Any) -> bytes:
        packed: bytes = hiredis.pack_command(args)
        return packed


class _ProtocolFactory(Factory):
    noisy = False


class Connection:
    """An open connection whose commands are answered in order."""

    def __init__(self, reactor: Any, protocol: Any) -> None:
        self._reactor = reactor
        self._protocol = protocol

    def command(self, *words: Any, deadline_s: float = COMMAND_DEADLINE_S) -> Deferred[Any]:
        """Send a command and return its answer; bytes, numbers, ``None`` and lists of these.

        Fails with a ``RedisRefused``, or with a ``RedisUnavailable`` when the connection has ended, as it does by itself when
        the answer is not there in time.
        """
        try:
            answer: Deferred[Any] = self._protocol.execute_command(*words)
        except txredisapi.ConnectionError:
            answer = Deferred()
            answer.errback(RedisUnavailable(self._protocol.cause or "the connection is not open"))
            return answer
        timer = self._reactor.callLater(deadline_s, self._too_slow, words[0], deadline_s)

        def answered(result: Any) -> Any:
            if timer.active():
                timer.cancel()
            return result

        return answer.addBoth(answered).addErrback(self._translated)

    def run(self, script: Script, *arguments: Any) -> Deferred[Any]:
        """Run a script that ``load`` has loaded."""
        return self.command(*script.call(*arguments))

    async def load(self, scripts: Iterable[Script]) -> None:
        """Make scripts known to Redis, which forgets them when it starts anew."""
        for script in scripts:
            await self.command("SCRIPT", "LOAD", script.text)

    def read_ahead(self) -> None:
        """Take answers that have come and the reactor has not come round to."""
        read_ahead(self._protocol.transport)

    def close(self, cause: str = "the connection was closed") -> None:
        """End the connection; what has not been answered fails, for ``cause``."""
        self._protocol.cause = self._protocol.cause or cause
        # Of a TLS connection that has ended, Twisted's abortConnection raises.
        if self._protocol.connected:
            self._protocol.transport.abortConnection()

    def _too_slow(self, name: str, deadline_s: float) -> None:
        self.close(f"{name} was not answered within {deadline_s:g} s")

    def _translated(self, failure: Failure) -> Failure:
        error = failure.value
        if isinstance(error, txredisapi.ResponseError):
            return Failure(RedisRefused(str(error)))
        if isinstance(error, txredisapi.RedisError):
            return Failure(RedisUnavailable(self._protocol.cause))
        return failure


class RedisLink:
    """Makes connections to the Redis of an address; by way of its Sentinels to the one that is master."""

    def __init__(self, reactor: Any, address: RedisAddress) -> None:
        self.address = address
        self._reactor = reactor

    async def connect(self) -> Connection:
        """Return a connection that may be written to.

        Raises:
            RedisTrouble: there is none to be had.
        """
        address = self.address
        host, port = address.hosts[0] if address.service is None else await self._ask_sentinels(address.service)
        connection = await self._connect(host, port)
        try:
            if address.password is not None:
                credentials = [address.password] if address.username is None else [address.username, address.password]
                await _authenticate(connection, *credentials)
            if address.database:
                await connection.command("SELECT", address.database)
            if address.service is not None:
                _check_master(f"{host}:{port}", await connection.command("ROLE"))
        except BaseException:
            connection.close()
            raise
        return connection

    async def _connect(self, host: str, port: int) -> Connection:
        endpoint: Any = HostnameEndpoint(self._reactor, host.encode(), port, timeout=CONNECT_TIMEOUT_S)
        if self.address.tls:
            endpoint = wrapClientTLS(optionsForClientTLS(host), endpoint)
        try:
            protocol = await endpoint.connect(_ProtocolFactory.forProtocol(_Protocol))
        except (ConnectError, ConnectionClosed, DNSLookupError, OSError) as error:
            raise RedisUnavailable(f"{host}:{port} cannot be reached: {_line(error)}") from error
        protocol.transport.setTcpNoDelay(True)
        return Connection(self._reactor, protocol)

    async def _ask_sentinels(self, service: str) -> tuple[str, int]:
        reasons = []
        for host, port in self.address.hosts:
            try:
                connection = await self._connect(host, port)
                try:
                    found = await self._master(connection, service)
                finally:
                    connection.close()
            except RedisTrouble as error:
                reasons.append(str(error))
                continue
            if found is not None:
                return found[0].decode(), int(found[1])
            reasons.append(f"Sentinel {host}:{port} knows no service {service}")
        raise RedisUnavailable("; ".join(reasons)[:MAX_REASON_CHARS])

    async def _master(self, connection: Connection, service: str) -> Any:
        question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
        try:
            return await connection.command(*question)
        except RedisRefused as error:
            if error.code != "NOAUTH" or self.address.password is None:
                raise
        # Sentinels may have the password of what they watch over, or none.
        await _authenticate(connection, self.address.password)
        return await connection.command(*question)


async def _authenticate(connection: Connection, *credentials: str) -> None:
    try:
        await connection.command("AUTH", *credentials)
    except RedisRefused as error:
        raise RedisUnavailable(f"the password was refused: {error}") from error


def _check_master(where: str, role: list[Any]) -> None:
    # A Sentinel may know less than the server itself, in the midst of a failover.
    if role[0] != b"master":
        raise RedisUnavailable(f"{where} is said to be the master, and is a {role[0].decode()}")


def _line(error: BaseException | None) -> str:
    return " ".join(str(error).split())[:MAX_REASON_CHARS] or type(error).__name__
