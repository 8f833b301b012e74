"""The volume-weighted average price of a symbol's last trades. Pure, and without a float."""

from collections import deque
from decimal import Decimal, localcontext

WINDOW_TICKS = 200
"""Ticks per symbol that an average is taken over, and so the bound of the memory: about 100 kB a symbol."""

DECIMALS_PRECISION = 60
"""Digits that sums are exact to: a product of two 8-decimal numbers has 30 at most, a window adds three."""


class VwapWindow:
    """The last ticks of one symbol, and their volume-weighted average price."""

    def __init__(self) -> None:
        self._trades: deque[tuple[Decimal, Decimal]] = deque(maxlen=WINDOW_TICKS)

    def add(self, price: Decimal, volume: Decimal) -> None:
        """Take a trade, of a volume > 0; beyond the window's length the oldest one leaves."""
        self._trades.append((price, volume))

    def __len__(self) -> int:
        return len(self._trades)

    def average(self) -> tuple[Decimal, Decimal]:
        """Return the average, rounded to the decimals of the newest price, and the whole volume; there must be a trade."""
        with localcontext(prec=DECIMALS_PRECISION):
            volume = sum((volume for _, volume in self._trades), Decimal(0))
            turnover = sum((price * volume for price, volume in self._trades), Decimal(0))
            return (turnover / volume).quantize(self._trades[-1][0]), volume
