"""What a client knows of its ticket, a JWT: whose it is and how long it lasts. Verifying is the gateway's business."""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable

RENEW_AHEAD_S = 60.0
"""A token is renewed so long before it ends, or in the last fifth of its time where that is shorter."""

TokenProvider = Callable[[], "str | Awaitable[str]"]
"""Returns a fresh token, at once or later; raises `AccessRefused` when there will be none any more."""


class AccessRefused(Exception):
    """The gateway says no, and asking again would not help."""


def claims_of(token: str) -> dict:
    """Return the claims of a JWT, unverified: verifying is the gateway's business.

    Raises:
        ValueError: the text is no JWT.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (AttributeError, IndexError, ValueError, binascii.Error):
        # The cause would quote the token.
        raise ValueError("this is not a token with a subject (sub)") from None
    return claims if isinstance(claims, dict) else {}


def subject_of(token: str) -> str:
    """Return the subject (`sub`) of a JWT, unverified.

    Raises:
        ValueError: the text is no JWT or names no subject.
    """
    claims = claims_of(token)
    if "sub" not in claims:
        raise ValueError("this is not a token with a subject (sub)")
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject:
        raise ValueError("the token's subject (sub) must be a text")
    return subject


def renewal_delay_s(token: str, now_s: float) -> float:
    """Return how long to wait before a token is renewed, at least a second."""
    exp = claims_of(token).get("exp")
    left_s = exp - now_s if isinstance(exp, (int, float)) else RENEW_AHEAD_S
    return max(1.0, left_s - min(RENEW_AHEAD_S, left_s / 5))
