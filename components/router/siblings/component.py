"""The component whose ``extra`` says which other router workers the node has."""

from __future__ import annotations

from typing import Any, ClassVar

from autobahn.wamp.types import SessionDetails
from twisted.logger import Logger

from components.core.entries import InvalidEntry
from components.environment import refuse_to_start
from components.router import runtime
from components.router.component import RouterComponent
from components.router.siblings.asking import Siblings
from components.router.siblings.settings import parse_siblings


class SiblingWorkers(RouterComponent):
    """Lets the worker ask the others."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        # Here rather than in onJoin: an error of a component's constructor stops the node before its transports listen.
        from twisted.internet import reactor

        try:
            settings = parse_siblings(config.extra)
        except InvalidEntry as error:
            refuse_to_start(str(error))
        runtime.install_siblings(Siblings(reactor, settings.worker, settings.management_ports))

    async def onJoin(self, details: SessionDetails) -> None:
        siblings = runtime.siblings()
        self.life_log.info("router worker {number} of {workers}", number=siblings.number, workers=siblings.workers)
