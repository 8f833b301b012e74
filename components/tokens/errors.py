"""Why a token is not accepted, and why there is no key."""

from __future__ import annotations

import enum


class TokenCause(enum.StrEnum):
    """Every reason for which a ticket is refused; counted one by one, so the list is fixed."""

    MISSING = "missing"
    TOO_LONG = "too long"
    MALFORMED = "malformed"
    DUPLICATE_MEMBER = "duplicate member"
    HEADER = "header not accepted"
    ALGORITHM = "algorithm not accepted"
    NO_KEYS = "no keys yet"
    UNKNOWN_KEY = "unknown key"
    SIGNATURE = "signature wrong"

    SUB = "sub missing or invalid"
    ROLE = "role missing or invalid"
    REALM = "realm missing or invalid"
    AUD = "aud missing or other"
    ISS = "iss missing or other"
    EXP = "exp missing or invalid"
    NBF = "nbf invalid"
    IAT = "iat invalid"
    JTI = "jti invalid"
    TIER = "tier invalid"
    SYMBOLS = "symbols invalid"
    SERVICES = "services invalid"

    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"

    OTHER_REALM = "other realm"
    OTHER_SUB = "other sub"
    OTHER_ROLE = "other role"
    REVOKED = "revoked"
    ROLE_OUT_OF_PLACE = "role not for this realm and transport"


class TokenError(ValueError):
    """A token that is not accepted; the text is its cause, for counters and tests, never for the client."""

    def __init__(self, cause: TokenCause) -> None:
        """Take the one reason."""
        super().__init__(cause.value)
        self.cause = cause


class TokenKeyError(ValueError):
    """There is no usable key; the text is one line for the operator."""
