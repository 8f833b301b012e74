"""Where keys come from: the environment, files, the node directory; and what is said when they cannot."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from components.tokens import (
    ALGORITHMS,
    INTERNAL_KEY_NAME,
    TokenAuthority,
    TokenCause,
    TokenError,
    TokenKeyError,
    TokenRules,
    create_development_key,
    load_authority,
    load_bridge_secret,
    load_internal_authority,
    load_link_authority,
    load_signing_key,
)
from tests.tokens.keyring import SECRET, claims, jwks, private_key, private_pem, public_jwk, public_pem, signing_key

KEYPAIRS = ("RS256", "ES256", "EdDSA")


def key_file(directory: Path, content: bytes, mode: int = 0o600) -> str:
    path = directory / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def from_file(directory: Path, content: bytes, mode: int = 0o600) -> TokenAuthority:
    return load_authority({"CROSSTICK_TOKEN_KEY_FILE": key_file(directory, content, mode)}, directory)


def test_the_development_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = create_development_key(tmp_path)
    key = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert create_development_key(tmp_path).read_bytes() == key
    assert load_authority({}, tmp_path).key == key.strip()


def test_outside_development_the_development_key_is_not_used(tmp_path: Path) -> None:
    create_development_key(tmp_path)
    with pytest.raises(TokenKeyError, match="no token key"):
        load_authority({"CROSSTICK_ENV": "production"}, tmp_path)


def test_a_secret_comes_from_the_environment_or_its_file(tmp_path: Path) -> None:
    assert load_authority({"CROSSTICK_TOKEN_KEY": "e" * 32}, tmp_path).key == b"e" * 32
    assert from_file(tmp_path, b"f" * 40 + b"\n").key == b"f" * 40


@pytest.mark.parametrize("algorithm", KEYPAIRS)
def test_a_public_key_may_be_read_by_all_and_verifies(tmp_path: Path, algorithm: str) -> None:
    authority = from_file(tmp_path, public_pem(private_key(algorithm)), 0o644)
    assert authority.verify(signing_key(algorithm).sign(claims())).sub == "alice"
    assert authority.signing_key is None


def test_of_several_public_keys_each_is_good(tmp_path: Path) -> None:
    keys = [signing_key("RS256"), signing_key("ES256"), signing_key("ES256", number=1), signing_key("EdDSA")]
    authority = from_file(tmp_path, b"\n".join(public_pem(key.key) for key in keys))
    for key in keys:
        assert authority.verify(key.sign(claims())).sub == "alice"
    with pytest.raises(TokenError, match=TokenCause.SIGNATURE):
        authority.verify(signing_key("ES256", number=2).sign(claims()))


@pytest.mark.parametrize("algorithm", KEYPAIRS)
def test_a_private_key_mints_and_verifies(tmp_path: Path, algorithm: str) -> None:
    authority = from_file(tmp_path, private_pem(private_key(algorithm)))
    token = authority.mint(sub="a", role="viewer", realm="market", now_s=2**40, ttl_s=60)
    assert TokenAuthority(authority.source, TokenRules("crosstick"), clock=lambda: 2**40).verify(token).sub == "a"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signing_key_comes_from_a_file_with_the_name_it_is_given(tmp_path: Path, algorithm: str) -> None:
    content = SECRET if algorithm == "HS256" else private_pem(private_key(algorithm))
    key = load_signing_key(Path(key_file(tmp_path, content)), "today")
    assert (key.algorithm, key.kid) == (algorithm, "today")


def test_public_keys_are_no_signing_key(tmp_path: Path) -> None:
    path = Path(key_file(tmp_path, public_pem(private_key("ES256"))))
    with pytest.raises(TokenKeyError, match="public keys, which cannot mint"):
        load_signing_key(path, None)


def test_a_jwk_set_comes_from_a_file(tmp_path: Path) -> None:
    path = key_file(tmp_path, jwks(public_jwk("ES256", kid="today")), 0o644)
    authority = load_authority({"CROSSTICK_TOKEN_JWKS": path}, tmp_path)
    assert authority.verify(signing_key("ES256", "today").sign(claims())).sub == "alice"
    assert authority.not_ready_because() == []


@pytest.mark.parametrize(
    "place",
    [
        "https://issuer.example/jwks",
        "https://issuer.example:8443/jwks?tenant=secret",
        "http://127.0.0.1:8081/jwks",
        "http://localhost/",
        "http://[::1]:80/jwks",
    ],
)
def test_an_address_has_no_keys_before_it_was_asked(tmp_path: Path, place: str) -> None:
    authority = load_authority({"CROSSTICK_TOKEN_JWKS": place}, tmp_path)
    assert authority.not_ready_because() == [f"no token keys from {place.partition('?')[0]} yet"]
    with pytest.raises(TokenError, match=TokenCause.NO_KEYS):
        authority.verify(signing_key("ES256", "today").sign(claims()))


@pytest.mark.parametrize(
    "place",
    [
        "http://issuer.example/jwks",
        "ftp://issuer.example/jwks",
        "https://",
        "https://user:hunter2@issuer.example/jwks",
        "https://issuer.example/jwks#x",
        "https://issuer.example:0/jwks",
        "https://issuer.example:99999/jwks",
        "https://[bad/jwks",
        "https://issuer.example/a b",
        "https://issuer.example/\r\nX: y",
        "https://issuér.example/jwks",
    ],
)
def test_an_address_that_is_not_safe_to_ask_is_refused_without_being_repeated(tmp_path: Path, place: str) -> None:
    with pytest.raises(TokenKeyError, match="CROSSTICK_TOKEN_JWKS must be a file or https://") as raised:
        load_authority({"CROSSTICK_TOKEN_JWKS": place}, tmp_path)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "no token key: set CROSSTICK_TOKEN_KEY_FILE"),
        ({"CROSSTICK_TOKEN_KEY": "short"}, "at least 32 bytes, had 5"),
        ({"CROSSTICK_TOKEN_KEY": "e" * 32, "CROSSTICK_TOKEN_KEY_FILE": "x"}, "not both"),
        ({"CROSSTICK_TOKEN_KEY": "e" * 32, "CROSSTICK_TOKEN_JWKS": "x"}, "not both"),
        ({"CROSSTICK_TOKEN_KEY": "e", "CROSSTICK_TOKEN_KEY_FILE": "x", "CROSSTICK_TOKEN_JWKS": "x"}, "set one of"),
        ({"CROSSTICK_TOKEN_KEY": public_pem(private_key("ES256")).decode()}, "a secret, not a public key"),
        ({"CROSSTICK_TOKEN_KEY": '{"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'}, "a secret, not a public key"),
        ({"CROSSTICK_TOKEN_KEY_FILE": "/nowhere/key"}, "No such file"),
        ({"CROSSTICK_TOKEN_JWKS": "/nowhere/jwks"}, "No such file"),
        ({"CROSSTICK_ENV": "staging"}, "'development' or 'production', was 'staging'"),
        ({"CROSSTICK_TOKEN_AUDIENCE": ""}, "must not be empty"),
        ({"CROSSTICK_TOKEN_ISSUER": "a b"}, "printable characters, was 'a b'"),
        ({"CROSSTICK_TOKEN_LEEWAY": "301"}, "a whole number of seconds from 0 to 300, was '301'"),
        ({"CROSSTICK_TOKEN_LEEWAY": "-1"}, "from 0 to 300, was '-1'"),
        ({"CROSSTICK_TOKEN_LEEWAY": "1.5"}, "from 0 to 300, was '1.5'"),
        ({"CROSSTICK_TOKEN_JWKS_REFRESH": "0"}, "from 1 to 86400, was '0'"),
    ],
)
def test_without_usable_keys_there_is_one_clear_reason(environ: dict[str, str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(TokenKeyError, match=reason) as raised:
        load_authority(environ, tmp_path)
    assert "\n" not in str(raised.value)


def encrypted_pem() -> bytes:
    key = private_key("ES256")
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    return pem


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda: public_pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
            "2048 to 8192 bits, had 1024",
        ),
        (lambda: private_pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "2048 to 8192 bits, had"),
        (lambda: public_pem(ec.generate_private_key(ec.SECP384R1())), "of P-256, was of secp384r1"),
        (lambda: private_pem(ec.generate_private_key(ec.SECP256K1())), "of P-256, was of secp256k1"),
        (lambda: public_pem(dsa.generate_private_key(2048)), "a key must be RSA, P-256 or Ed25519"),
        (lambda: private_pem(dsa.generate_private_key(2048)), "a key must be RSA, P-256 or Ed25519"),
        (encrypted_pem, "no usable private key"),
        (lambda: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "had a CERTIFICATE"),
        (lambda: b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no usable public key"),
        (lambda: b"-----BEGIN PUBLIC KEY-----\nAAAA\n", "1 to 64 keys, had 0"),
        (lambda: public_pem(private_key("EdDSA")) * 65, "1 to 64 keys, had 65"),
        (lambda: b"x" * 300_000, "at most 262144 bytes"),
    ],
)
def test_a_key_file_that_is_not_usable_is_refused_with_the_rule(make: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(TokenKeyError, match=reason) as raised:
        from_file(tmp_path, make())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"f" * 40, private_pem(private_key("ES256"))], ids=["secret", "private key"])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(TokenKeyError, match="chmod 600"):
        from_file(tmp_path, content, 0o640)


def test_public_keys_that_everybody_may_change_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenKeyError, match="chmod o-w"):
        from_file(tmp_path, public_pem(private_key("ES256")), 0o646)
    path = key_file(tmp_path, jwks(public_jwk("ES256")), 0o666)
    with pytest.raises(TokenKeyError, match="chmod o-w"):
        load_authority({"CROSSTICK_TOKEN_JWKS": path}, tmp_path)


def test_the_nodes_own_components_have_a_key_of_their_own(tmp_path: Path) -> None:
    create_development_key(tmp_path)
    clients, internal = load_authority({}, tmp_path), load_internal_authority(tmp_path)
    assert (tmp_path / INTERNAL_KEY_NAME).stat().st_mode & 0o777 == 0o600
    token = internal.mint(sub="feed", role="feed", realm="market", now_s=int(time.time()), ttl_s=60)
    assert load_internal_authority(tmp_path).verify(token).role == "feed"
    with pytest.raises(TokenError, match=TokenCause.SIGNATURE):
        clients.verify(token)
    with pytest.raises(ValueError, match="role must be one of operator, service, viewer"):
        clients.mint(sub="feed", role="feed", realm="market", now_s=0, ttl_s=60)


def test_workers_that_start_together_agree_on_the_internal_key(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    keys: list[bytes] = []

    def load() -> None:
        together.wait()
        keys.append(load_internal_authority(tmp_path).key)

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [INTERNAL_KEY_NAME]


def test_an_internal_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    load_internal_authority(tmp_path)
    (tmp_path / INTERNAL_KEY_NAME).chmod(0o644)
    with pytest.raises(TokenKeyError, match="chmod 600"):
        load_internal_authority(tmp_path)


def test_where_no_internal_key_can_be_made_one_line_says_so(tmp_path: Path) -> None:
    with pytest.raises(TokenKeyError, match=r"internal\.key cannot be created: No such file or directory"):
        load_internal_authority(tmp_path / "nowhere")


def test_links_have_a_secret_of_their_own(tmp_path: Path) -> None:
    link = load_link_authority({"CROSSTICK_LINK_KEY": "s" * 32}, tmp_path, True)
    token = link.mint(sub="a", role="peer", realm="market", now_s=int(time.time()), ttl_s=60)
    assert link.verify(token).role == "peer"
    again = load_link_authority({"CROSSTICK_LINK_KEY_FILE": key_file(tmp_path, b"s" * 32)}, tmp_path, True)
    assert again.verify(token).sub == "a"
    # Neither opens the other's door, though the key be the same.
    for other in (
        load_authority({"CROSSTICK_TOKEN_KEY": "s" * 32}, tmp_path),
        load_link_authority({"CROSSTICK_LINK_KEY": "t" * 32}, tmp_path, True),
    ):
        with pytest.raises(TokenError):
            other.verify(token)


def test_the_workers_of_a_node_are_linked_by_the_nodes_own_key_under_another_audience(tmp_path: Path) -> None:
    link, internal = load_link_authority({}, tmp_path, False), load_internal_authority(tmp_path)
    token = link.mint(sub="a", role="peer", realm="market", now_s=int(time.time()), ttl_s=60)
    assert link.verify(token).sub == "a"
    with pytest.raises(TokenError):
        internal.verify(token)


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({}, "links to other nodes need a secret that these have too"),
        ({"CROSSTICK_LINK_KEY": "short"}, "CROSSTICK_LINK_KEY must hold at least 32 bytes, had 5"),
        ({"CROSSTICK_LINK_KEY": "s" * 32, "CROSSTICK_LINK_KEY_FILE": "f"}, "not both"),
        ({"CROSSTICK_LINK_KEY_FILE": "/nowhere"}, "/nowhere"),
    ],
)
def test_links_without_a_usable_secret_are_told(tmp_path: Path, environ: dict[str, str], complaint: str) -> None:
    with pytest.raises(TokenKeyError, match=complaint):
        load_link_authority(environ, tmp_path, True)


def test_the_bridges_secret_comes_from_one_place_and_is_long_enough(tmp_path: Path) -> None:
    file = tmp_path / "bridge.secret"
    file.write_text("s" * 32 + "\n")
    file.chmod(0o600)
    by_file = {"CROSSTICK_BRIDGE_SECRET_FILE": str(file)}
    assert load_bridge_secret(by_file) == load_bridge_secret({"CROSSTICK_BRIDGE_SECRET": "s" * 32}) == "s" * 32
    for environ, complaint in (
        ({}, "set one of CROSSTICK_BRIDGE_SECRET_FILE and CROSSTICK_BRIDGE_SECRET"),
        (by_file | {"CROSSTICK_BRIDGE_SECRET": "s" * 32}, "set one of"),
        ({"CROSSTICK_BRIDGE_SECRET": "short"}, "at least 32 bytes, had 5"),
        ({"CROSSTICK_BRIDGE_SECRET": "\u00fc" * 32}, "must be ASCII"),
        ({"CROSSTICK_BRIDGE_SECRET_FILE": str(tmp_path / "nothing")}, "nothing"),
    ):
        with pytest.raises(TokenKeyError, match=complaint):
            load_bridge_secret(environ)
    file.chmod(0o644)
    with pytest.raises(TokenKeyError):
        load_bridge_secret(by_file)
