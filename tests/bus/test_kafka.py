"""The Kafka bus against brokers that speak the real protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_twisted

from tests.bus.kafka_parts import Parts, until
from tests.harness.kafka import KafkaBroker


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaBroker]:
    broker = KafkaBroker()
    yield broker
    broker.stop()


@pytest_twisted.async_yield_fixture
async def parts(broker: KafkaBroker) -> AsyncIterator[Parts]:
    parts = Parts(broker)
    yield parts
    broker.answer_after(0)
    broker.come_up()
    await parts.stop()


@pytest_twisted.ensureDeferred
async def test_batches_arrive_in_order_and_once(parts: Parts) -> None:
    listener = await parts.listener()
    feed = await parts.leading_feed()
    assert feed.led == [None]
    for _ in range(10):
        feed.write(50)
        await until(lambda: feed.writer.batches_waiting == 0)
    await until(lambda: len(listener.batches) >= 500)
    assert listener.numbers() == list(range(1, 501))
    assert listener.batches[499].events == [("market.BTCUSDT", 500, b'{"seq":500}')]
    assert feed.writer.troubles() == []
