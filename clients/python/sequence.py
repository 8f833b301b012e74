"""Counts the ticks a client has not seen. Pure: sequence numbers go in, counts come out."""


class SequenceTracker:
    """The last sequence number of each symbol, and what it says about the next.

    The gateway numbers every symbol's ticks without gaps (`seq`) within an *epoch*; a restarted feed opens another epoch
    and counts afresh. Within an epoch a symbol's `seq` grows by one trade, or by the `"merged": n` trades that a tick says
    it stands for, plus those that are in no tick, which it says as `"dropped": n` where the gateway left them out.
    """

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._last_by_symbol: dict[str, int] = {}

    def enter_epoch(self, epoch: int) -> None:
        """Take note of the epoch; numbers of another epoch are not compared with those seen so far."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._last_by_symbol.clear()

    def observe(self, tick: dict) -> int | None:
        """Take note of a tick; return how many ticks of its symbol are missing right before it (0 for a first one).

        Returns None for the very tick seen last: after a reconnect the retained one often is.
        """
        symbol, seq = tick["symbol"], tick["seq"]
        last = self._last_by_symbol.get(symbol)
        if seq == last:
            return None
        self._last_by_symbol[symbol] = seq
        if last is None or seq < last:
            # A lower number is a feed started afresh, whose epoch has not been announced here yet.
            return tick.get("dropped", 0)
        # Not by `first_seq`: some of the numbers between it and `seq` may be dropped ones.
        return max(0, seq - last - tick.get("merged", 1))
