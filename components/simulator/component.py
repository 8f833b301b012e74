"""The simulated exchange as a Crossbar component, in a container worker of its own; joins a realm only to be started
and stopped with the node, and publishes nothing.
"""

from __future__ import annotations

from typing import Any, ClassVar

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.types import Challenge
from twisted.logger import Logger

from components.environment import NodeEnvironment
from components.leaving import StaysWithRouter
from components.logs import safe_log
from components.simulator.listener import ExchangeStartError
from components.simulator.server import SimulatedExchange
from components.uris import ERROR_SIMULATOR_NOT_STARTED


class SimulatedExchangeComponent(ApplicationSession):  # type: ignore[misc]  # Autobahn ships no types
    """Runs a ``SimulatedExchange`` as the environment asks for while the session lasts."""

    life_log: ClassVar[Logger] = Logger()
    """Not ``log``: that one is Autobahn's own, with its debug lines."""

    def __init__(self, config: Any = None) -> None:
        """Read the node's environment; a worker without a usable one ends here."""
        super().__init__(config)
        from twisted.internet import reactor

        safe = safe_log.install_if_crossbar_logs(reactor)
        self._environment = NodeEnvironment.load(config)
        self._exchange: SimulatedExchange | None = None
        self._stays = StaysWithRouter(safe.expect_end if safe is not None else lambda: None)

    def onConnect(self) -> None:
        """Join as one of the node's own components."""
        self.join(self.config.realm, ["ticket"], "exchange")

    def onChallenge(self, challenge: Challenge) -> str:
        """Answer with a ticket of the node's own."""
        return self._environment.internal_token("exchange", self.config.realm)

    async def onJoin(self, details: Any) -> None:
        """Start the exchange; leave the realm with one line of explanation if it cannot be started."""
        from twisted.internet import reactor

        self._stays.begin()
        simulator = self._environment.settings.simulator
        if simulator is None:
            self.life_log.info("no simulated exchange: CROSSTICK_EXCHANGE_URL names another one")
            return
        exchange = SimulatedExchange(reactor, simulator)
        try:
            await exchange.start()
        except (ExchangeStartError, ValueError, OSError) as error:
            self.life_log.error("the simulated exchange cannot start: {error}", error=error)
            self.leave(ERROR_SIMULATOR_NOT_STARTED, str(error))
            return
        self._exchange = exchange

    async def onLeave(self, details: Any) -> None:
        """Stop the exchange before the connection to the node is given up."""
        await self._stop()
        self.disconnect()

    async def onDisconnect(self) -> None:
        """Stop the exchange when the node is gone without a word."""
        await self._stop()

    async def _stop(self) -> None:
        self._stays.end()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.stop()
