"""Procedures of in-router components, whose arguments are checked against a schema before anything is done with them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from autobahn.wamp import ApplicationError
from autobahn.wamp.types import CallDetails, RegisterOptions

from components.core.arguments import InvalidArgument, Schema, checked
from components.uris import ERROR_INVALID_ARGUMENT


async def register_checked(
    session: Any,
    procedure: str,
    schema: type[Schema],
    answer: Callable[[Schema, CallDetails], Any],
    secret: Collection[str] = (),
) -> None:
    """Register a procedure whose arguments are those of a schema; ``answer`` gets them, and who calls.

    A call with others is answered with ``wamp.error.invalid_argument`` and what is wrong with which; arguments that are
    ``secret`` are not quoted.
    """

    def call(*args: object, details: CallDetails, **kwargs: object) -> Any:
        try:
            arguments = checked(schema, args, kwargs, secret)
        except InvalidArgument as error:
            raise ApplicationError(ERROR_INVALID_ARGUMENT, str(error)) from None
        return answer(arguments, details)

    await session.register(call, procedure, options=RegisterOptions(details_arg="details"))
