"""The component that answers operators: its procedures tell how the node stands and who is there, and send somebody away.

An operator reaches one router worker of the node; what is asked, that one asks all of them, over the node's own realm, which no
client can join. A worker that does not answer is named in ``unanswered``.
"""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any, ClassVar

import msgspec
from autobahn.wamp import ApplicationError
from autobahn.wamp.types import CallDetails, SessionDetails
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.core.arguments import NoArguments
from components.core.entries import InvalidEntry
from components.environment import refuse_to_start
from components.router.checked_procedures import register_checked
from components.router.component import RouterComponent
from components.router.operators.questions import (
    Closing,
    Followed,
    OneSession,
    SessionsQuestion,
    merged_faults,
    merged_followers,
    merged_pages,
    merged_status,
)
from components.router.operators.settings import parse_operators
from components.router.operators.worker import WorkerAnswers
from components.router.seam.node_realm import Answers, NodeRealm
from components.uris import (
    ERROR_NO_SUCH_SESSION,
    NODE_CLOSE,
    NODE_FAULTS,
    NODE_FOLLOWERS,
    NODE_SESSION,
    NODE_SESSIONS,
    NODE_STATUS,
    OPERATORS_REALM,
)

QUESTION = "operators"
"""The last part of the procedure's URI by which a router worker is asked, in the node's own realm."""


class Operators(RouterComponent):
    """Answers for the node, whichever of its router workers is asked."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        from twisted.internet import reactor

        if config.realm != OPERATORS_REALM:
            refuse_to_start(f"operators: its component belongs into realm {OPERATORS_REALM}, was in {config.realm}")
        try:
            self._name = parse_operators(config.extra).name
        except InvalidEntry as error:
            refuse_to_start(str(error))
        self._reactor: Any = reactor
        self._worker = WorkerAnswers(reactor)
        self._versions = {
            name: version(distribution)
            for name, distribution in (("version", "crosstick"), ("crossbar", "crossbar"), ("autobahn", "autobahn"))
        } | {"python": platform.python_version()}

    async def onJoin(self, details: SessionDetails) -> None:
        try:
            self._node = NodeRealm(self, self._reactor)
            await self._node.offer(QUESTION, self._worker.answer)
            await register_checked(self, NODE_STATUS, NoArguments, self._status)
            await register_checked(self, NODE_FAULTS, NoArguments, self._faults)
            await register_checked(self, NODE_SESSIONS, SessionsQuestion, self._sessions)
            await register_checked(self, NODE_SESSION, OneSession, self._session)
            await register_checked(self, NODE_FOLLOWERS, Followed, self._followers)
            await register_checked(self, NODE_CLOSE, Closing, self._close)
        except Exception as error:
            # Crossbar would go on and open the transports.
            self.life_log.failure("the operators' component cannot install itself")
            refuse_to_start(f"the operators' component cannot install itself: {error}")
        self.life_log.info("operators are answered")

    async def _ask(self, question: str, **arguments: Any) -> Answers:
        return await self._node.ask_all(QUESTION, question, arguments)

    async def _status(self, _nothing: NoArguments, _details: CallDetails) -> dict[str, Any]:
        """Return how the node and each of its router workers stand."""
        answers = await self._ask("status")
        node = {"node": self._name or self._node.node_name, **self._versions}
        return merged_status(node, self._node.worker_id, answers.by_worker, answers.unanswered)

    async def _faults(self, _nothing: NoArguments, _details: CallDetails) -> dict[str, Any]:
        """Return what is wrong, and what was lately."""
        answers = await self._ask("faults")
        return merged_faults(answers.by_worker, answers.unanswered)

    async def _sessions(self, question: SessionsQuestion, _details: CallDetails) -> dict[str, Any]:
        """Return a page of the clients' sessions."""
        answers = await self._ask("sessions", **msgspec.structs.asdict(question))
        return merged_pages(question, answers.by_worker, answers.unanswered)

    async def _session(self, wanted: OneSession, _details: CallDetails) -> dict[str, Any]:
        """Return all that is known of one session."""
        worker, found = self._only(await self._ask("session", session=wanted.session), wanted.session)
        return {"worker": worker} | found

    async def _followers(self, wanted: Followed, _details: CallDetails) -> dict[str, Any]:
        """Return how many sessions follow each of some symbols."""
        answers = await self._ask("followers", symbols=wanted.symbols)
        return merged_followers(answers.by_worker, answers.unanswered)

    async def _close(self, wanted: Closing, details: CallDetails) -> dict[str, Any]:
        """Close one session; return whose it was and which worker had it."""
        operator = details.caller_authid
        answers = await self._ask("close", session=wanted.session, reason=wanted.reason, operator=operator)
        worker, closed = self._only(answers, wanted.session)
        return {"worker": worker} | closed

    @staticmethod
    def _only(answers: Answers, session: int) -> tuple[str, dict[str, Any]]:
        """Return the one worker that has a session, and what it says."""
        for worker, found in answers.by_worker.items():
            if found is not None:
                return worker, found
        unanswered = f"; not answered: {', '.join(answers.unanswered)}" if answers.unanswered else ""
        raise ApplicationError(
            ERROR_NO_SUCH_SESSION,
            f"no client's session {session} is here{unanswered}",
            unanswered=answers.unanswered,
        )

    def onUserError(self, fail: Failure, msg: str) -> None:
        """Log what a procedure raised by mistake; an ``ApplicationError`` is none, but an answer to its caller."""
        if not isinstance(fail.value, ApplicationError):
            self.life_log.failure(msg, failure=fail)
