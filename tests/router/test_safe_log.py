"""The worker's log: what clients have a part in is printed without harm, and in bounds."""

from __future__ import annotations

import io
import json

import pytest
from crossbar._logging import make_JSON_observer, record_separator
from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, LogPublisher, globalLogPublisher
from twisted.python.failure import Failure
from txaio import set_global_log_level

from components.logs import safe_log
from components.logs.safe_log import LINES_BURST, MAX_KINDS, CrossbarMoved, SafeLog


@pytest.fixture(autouse=True)
def level_info() -> None:
    set_global_log_level("info")


class Worker:
    """A worker's log, up to what its controller reads."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.out = io.StringIO()
        self.log = Logger(observer=LogPublisher(SafeLog(make_JSON_observer(self.out), self.clock)))

    @property
    def texts(self) -> list[str]:
        """What the controller would print; braces are doubled for its own formatting."""
        records = self.out.getvalue().split(record_separator)[:-1]
        return [json.loads(record)["text"].replace("{{", "{").replace("}}", "}") for record in records]


def test_crossbars_observer_is_where_the_log_is_made_safe() -> None:
    observer = make_JSON_observer(io.StringIO())
    with pytest.raises(CrossbarMoved):
        safe_log.install(Clock())
    globalLogPublisher.addObserver(observer)
    try:
        installed = safe_log.install(Clock())
        assert installed in globalLogPublisher._observers
        assert observer not in globalLogPublisher._observers
        assert safe_log.install(Clock()) is installed
    finally:
        globalLogPublisher.removeObserver(installed)


def test_a_clients_text_is_one_line_whatever_it_is() -> None:
    worker = Worker()
    worker.log.warn('failing: "{reason}"', reason="x\r\n2026-01-01T00:00:00 [Router 1] forged\x1b[2J{0}")
    assert worker.texts == ['failing: "x\\r\n    | 2026-01-01T00:00:00 [Router 1] forged\\x1b[2J{0}"']


def test_nothing_of_an_event_reaches_the_controller_but_its_text() -> None:
    worker = Worker()
    worker.log.warn("{short}", short="a", authextra={"secret": "\x1b" * 10_000}, log_category="CB500")
    assert len(worker.out.getvalue()) < 300


def test_a_traceback_is_whole_and_bounded() -> None:
    worker = Worker()
    worker.log.failure("a thing failed", failure=Failure(ValueError("forged\n2026 line\x07" + "x" * 100_000)))
    [text] = worker.texts
    assert text.startswith("a thing failed\n    | Traceback")
    assert "ValueError" in text
    assert "\n2026" not in text
    assert len(text) < 7000


def test_lines_that_are_alike_are_counted_when_they_are_many() -> None:
    worker = Worker()
    for number in range(LINES_BURST + 50):
        worker.log.warn("client said {what}", what=number)
    worker.log.warn("something else")
    assert len(worker.texts) == LINES_BURST + 1
    worker.clock.advance(5)
    assert worker.texts[-1] == "50 more lines were left out that are like: client said {what}"
    worker.log.warn("client said {what}", what="again")
    assert worker.texts[-1] == "client said again"
    worker.clock.advance(100)
    assert len(worker.texts) == LINES_BURST + 3


def test_lines_of_which_each_is_a_kind_of_its_own_are_bounded_too() -> None:
    worker = Worker()
    for number in range(MAX_KINDS * 3):
        worker.log.emit(LogLevel.warn, f"kind {number}")
    assert len(worker.texts) == MAX_KINDS + LINES_BURST


def test_what_is_below_the_level_costs_nothing() -> None:
    worker = Worker()
    worker.log.debug("{what}", what=1)
    assert worker.texts == []
