"""Batches on the wire."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.batch import Batch, MalformedBatch, decode_batch, encode_batch

events = st.lists(st.tuples(st.text(max_size=20), st.integers(0, 2**53), st.binary(max_size=50)), max_size=5)


@given(st.integers(0, 2**53), st.integers(1, 2**53), events)
def test_a_batch_comes_back_as_it_was(epoch: int, number: int, content: list[tuple[str, int, bytes]]) -> None:
    batch = Batch(epoch, number, content)
    assert decode_batch(encode_batch(batch)) == batch


@given(st.binary(max_size=60))
def test_other_bytes_are_a_malformed_batch_or_a_batch(data: bytes) -> None:
    with contextlib.suppress(MalformedBatch):
        decode_batch(data)


def test_a_batch_cut_short_is_malformed() -> None:
    with pytest.raises(MalformedBatch):
        decode_batch(encode_batch(Batch(1, 1, [("market.BTCUSDT", 1, b"{}")]))[:-1])
