"""Who listens to which stream, and in what form; makes each frame once per form. Holds no sockets, only outboxes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from components.core.websocket_frames import text_frame
from components.simulator.symbol import Frame

Outbox = list[bytes]
"""WebSocket frames a connection sends at the end of the round; emptied every few milliseconds, read or not."""

_TIMES = re.compile(rb'"(E|T)":(\d{13})\b')
_KLINE_OPEN = re.compile(rb'"k":\{"t":(\d{13})\b')


@dataclass(frozen=True, slots=True)
class Form:
    """How a connection wants its payloads."""

    combined: bool
    microseconds: bool


@dataclass(slots=True)
class _Channel:
    """One stream's listeners, by form and by the identity of their outbox."""

    listeners: dict[Form, dict[int, Outbox]] = field(default_factory=dict)


class StreamRouter:
    """Carries frames into the outboxes of those who listen."""

    def __init__(self, on_first: Callable[[str], None], on_last: Callable[[str], None]) -> None:
        """Call ``on_first`` when a stream gains its first listener and ``on_last`` when it loses its last."""
        self._channels: dict[str, _Channel] = {}
        self._on_first = on_first
        self._on_last = on_last

    def listen(self, streams: Sequence[str], form: Form, outbox: Outbox) -> None:
        """Let an outbox receive these streams."""
        for stream in streams:
            channel = self._channels.get(stream)
            if channel is None:
                channel = self._channels[stream] = _Channel()
                self._on_first(stream)
            channel.listeners.setdefault(form, {})[id(outbox)] = outbox

    def unlisten(self, streams: Sequence[str], outbox: Outbox) -> None:
        """Let an outbox receive these streams no more."""
        for stream in streams:
            channel = self._channels.get(stream)
            if channel is None:
                continue
            for form, outboxes in list(channel.listeners.items()):
                outboxes.pop(id(outbox), None)
                if not outboxes:
                    del channel.listeners[form]
            if not channel.listeners:
                del self._channels[stream]
                self._on_last(stream)

    def has_listeners(self, stream: str) -> bool:
        """Tell whether anybody receives a stream."""
        return stream in self._channels

    def dispatch(self, frames: Sequence[Frame]) -> int:
        """Put frames into their listeners' outboxes; return how many WebSocket frames went in."""
        channels = self._channels
        sent = 0
        for stream, payload in frames:
            channel = channels.get(stream)
            if channel is None:
                continue
            for form, outboxes in channel.listeners.items():
                frame = text_frame(in_form(stream, payload, form))
                sent += len(outboxes)
                for outbox in outboxes.values():
                    outbox.append(frame)
        return sent


def in_form(stream: str, payload: bytes, form: Form) -> bytes:
    """Return a payload the way a connection wants it; recorded digits of prices are never touched."""
    if form.microseconds:
        payload = _KLINE_OPEN.sub(rb'"k":{"t":\g<1>000', _TIMES.sub(rb'"\1":\g<2>000', payload))
    if form.combined:
        return b'{"stream":"%b","data":%b}' % (stream.encode(), payload)
    return payload
