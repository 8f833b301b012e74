"""The component whose ``extra`` says how the worker's listeners are set up; in place before any of them listens."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from autobahn.wamp.types import SessionDetails
from twisted.logger import Logger

from components.core.entries import InvalidEntry
from components.environment import refuse_to_start
from components.router.component import RouterComponent
from components.router.listeners.listener import registry
from components.router.listeners.listening import install_listeners
from components.router.listeners.open_files import raise_limit, too_few
from components.router.listeners.settings import check_ids, parse_listeners
from components.router.listeners.transports import transport_ids


class Listeners(RouterComponent):
    """Holds the settings of the worker's listeners."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        # Here rather than in onJoin: an error of a component's constructor stops the node before its transports listen.
        try:
            settings = parse_listeners(config.extra)
            known = transport_ids(Path(config.extra["cbdir"]), settings)
            if known is not None:
                check_ids(settings, known)
            registry().configure(settings)
        except InvalidEntry as error:
            refuse_to_start(str(error))
        if known is None:
            self.life_log.warn(
                "the node's configuration is not in its usual place: transport ids of listeners are not checked"
            )
        files = too_few(raise_limit(), sum(each.max_connections for each in settings.values()))
        if files is not None:
            self.life_log.warn("{files}", files=files)
        install_listeners()

    async def onJoin(self, details: SessionDetails) -> None:
        self.life_log.info("listeners are set up")
