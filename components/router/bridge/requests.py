"""What a signed request asks for, and whether the service behind the key may have it. Pure."""

from __future__ import annotations

from typing import Any, Literal

from components.core.entries import InvalidEntry
from components.core.grants import Grants, grants_of
from components.router.http_api.problems import ApiError, unknown_name
from components.uris import ERROR_INVALID_ARGUMENT, ERROR_NOT_AUTHORIZED, SERVICES_PREFIX

Action = Literal["publish", "call"]
TARGETS: dict[Action, str] = {"publish": "topic", "call": "procedure"}


def bridge_grants(service: str, services: tuple[str, ...]) -> Grants:
    """Return the rights of a service: those of a token of this ``sub`` that names these ``services``.

    Raises:
        InvalidEntry: the name is none.
    """
    if not service or not service.replace("-", "").replace("_", "").isalnum() or not service.isascii():
        raise InvalidEntry(f"bridge.service must be letters, digits, - and _, was {service!r}")
    return grants_of("service", service, (), services, frozenset())


def check_request(event: dict[str, Any], action: Action, grants: Grants) -> None:
    """See to it that a request is as it must be, and granted.

    Raises:
        ApiError: it is not.
    """
    target = TARGETS[action]
    known = (target, "args", "kwargs")
    unknown = next((name for name in event if name not in known), None)
    if unknown is not None:
        raise unknown_name("field", unknown, known)
    uri = event.get(target)
    if not isinstance(uri, str):
        raise ApiError(ERROR_INVALID_ARGUMENT, f"{target} must be a text")
    if not isinstance(event.get("args", []), list):
        raise ApiError(ERROR_INVALID_ARGUMENT, "args must be an array")
    kwargs = event.get("kwargs", {})
    # Crossbar's bridge and Autobahn would take it for options of their own.
    if not isinstance(kwargs, dict) or "options" in kwargs:
        raise ApiError(ERROR_INVALID_ARGUMENT, "kwargs must be an object without options")
    if not uri.startswith(SERVICES_PREFIX) or not grants.allows(action, uri):
        raise ApiError(ERROR_NOT_AUTHORIZED, f"the bridge's service may not {action} this")
