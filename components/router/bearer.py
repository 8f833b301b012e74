"""Where a client without WAMP puts its token: in the URL, a header, or a WebSocket subprotocol. Pure.

Sources: RFC 6750 section 2 (``Authorization: Bearer``); browsers can set neither header nor body of a WebSocket's opening,
but its subprotocols.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs

PROTOCOL_PREFIX = "bearer."
_SCHEME = "bearer "


SEVERAL = "one token is enough: in the URL, a header or a subprotocol"


class BearerError(ValueError):
    """It is not clear which token is meant; the text may be shown to the client, and has nothing of a token."""


def bearer_token(query: str, authorization: Sequence[str], protocols: Sequence[str] = ()) -> str | None:
    """Return the one token of a request; ``None`` where there is none.

    ``query`` is the URL's, without ``?``; ``authorization`` the values of headers of that name; ``protocols`` the subprotocols
    that are offered.

    Raises:
        BearerError: there are several, or the header is of another scheme.
    """
    found = list(parse_qs(query, keep_blank_values=True).get("token", ()))
    for value in authorization:
        if not value.lower().startswith(_SCHEME):
            raise BearerError("the Authorization header must be: Bearer <token>")
        found.append(value[len(_SCHEME) :].strip())
    found += [name.removeprefix(PROTOCOL_PREFIX) for name in protocols if name.startswith(PROTOCOL_PREFIX)]
    if len(found) > 1:
        raise BearerError(SEVERAL)
    return found[0] if found else None
