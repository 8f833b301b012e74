"""Why a gateway refuses a token, as far as the token itself says: the gateway tells nobody."""

from __future__ import annotations

import jwt


def why_refused(token: str, realm: str, now_s: float) -> str:
    """Return the likely reason as the end of a sentence; empty where the token looks as it should. Nothing of it is quoted
    but the realm.
    """
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return ""
    ends_s, other = claims.get("exp"), claims.get("realm")
    if isinstance(ends_s, int | float) and ends_s <= now_s:
        return f": it has expired, {int(now_s - ends_s):,} s ago"
    if isinstance(other, str) and other != realm:
        return f": it is for realm {other[:40]!r}, and this takes one for {realm!r}"
    return ""
