"""The JWTs that clients bring as tickets: claims, keys and where they come from, minting and verifying.

Never logs a token and never says to the outside why one was refused.
"""

from components.tokens.authority import TokenAuthority, claimed_sub
from components.tokens.claims import CLIENT_ROLES, INTERNAL_ROLES, LINK_ROLES, Claims, TokenRules
from components.tokens.errors import TokenCause, TokenError, TokenKeyError
from components.tokens.keys import ALGORITHMS, KeySet, SigningKey, StaticKeys, VerificationKey
from components.tokens.sources import (
    DEFAULT_AUDIENCE,
    DEVELOPMENT_KEY_NAME,
    INTERNAL_KEY_NAME,
    create_development_key,
    load_authority,
    load_bridge_secret,
    load_internal_authority,
    load_link_authority,
    load_rules,
    load_signing_key,
)

__all__ = [
    "ALGORITHMS",
    "CLIENT_ROLES",
    "DEFAULT_AUDIENCE",
    "DEVELOPMENT_KEY_NAME",
    "INTERNAL_KEY_NAME",
    "INTERNAL_ROLES",
    "LINK_ROLES",
    "Claims",
    "KeySet",
    "SigningKey",
    "StaticKeys",
    "TokenAuthority",
    "TokenCause",
    "TokenError",
    "TokenKeyError",
    "TokenRules",
    "VerificationKey",
    "claimed_sub",
    "create_development_key",
    "load_authority",
    "load_bridge_secret",
    "load_internal_authority",
    "load_link_authority",
    "load_rules",
    "load_signing_key",
]
