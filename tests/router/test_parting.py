"""Who is sent away gets first what waits for him, in a real router with the seam."""

from __future__ import annotations

from components.core.closing import CloseReason
from components.core.payload import EncodedPayload
from tests.harness.inside import InsideRouter, Nobody

TOPIC = "market.BTCUSDT"


def tick(number: int) -> tuple[str, EncodedPayload]:
    text = f'{{"symbol":"BTCUSDT","price":1.0,"volume":1.0,"side":"buy","ts":1,"id":{number},"seq":{number}}}'
    return TOPIC, EncodedPayload(text.encode())


def numbers(session: object) -> list[int]:
    return [argument["id"] for _, argument in session.events]  # type: ignore[attr-defined]


def test_events_that_are_being_gathered_go_out_before_the_goodbye() -> None:
    inside = InsideRouter(lambda *_: [], Nobody())
    session = inside.session()
    assert session.outlet is not None
    session.subscribe(TOPIC)
    inside.seam.publish_batch([tick(1)])
    inside.seam.publish_batch([tick(2), tick(3)])
    assert numbers(session) == [1]
    session.outlet.part(CloseReason.DRAINING)
    assert numbers(session) == [1, 2, 3]
    assert session.outlet.given_up


def test_events_that_wait_for_a_blocked_session_go_out_before_the_goodbye_when_it_reads() -> None:
    inside = InsideRouter(lambda *_: [], Nobody())
    session = inside.session()
    assert session.outlet is not None
    session.subscribe(TOPIC)
    session.outlet.pauseProducing()
    inside.seam.publish_batch([tick(1), tick(2)])
    session.outlet.part(CloseReason.DRAINING)
    inside.seam.publish_batch([tick(3)])
    inside.clock.advance(1.0)
    assert not session.outlet.given_up
    session.outlet.resumeProducing()
    assert session.outlet.given_up
    delivered = [argument for _, argument in session.events]
    assert sum(argument.get("merged", 1) for argument in delivered) == 3
    assert delivered[-1]["id"] == 3
