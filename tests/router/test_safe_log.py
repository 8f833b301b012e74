"""The worker's log: what clients have a part in is printed without harm, and in bounds."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
import txaio
from crossbar._logging import cb_logging_aware, make_JSON_observer, make_stdout_observer, record_separator
from crossbar.node.worker import WorkerProcess
from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, LogPublisher, globalLogPublisher
from twisted.python.failure import Failure
from txaio import set_global_log_level

from components.logs import safe_log
from components.logs.node_log import NodeLog
from components.logs.safe_log import LINES_BURST, MAX_KINDS, CrossbarMoved, SafeLog


@pytest.fixture(autouse=True)
def level_info() -> None:
    set_global_log_level("info")


class Worker:
    """A worker's log, up to what its controller reads."""

    def __init__(self, name: str | None = None) -> None:
        self.clock = Clock()
        self.out = io.StringIO()
        safe = SafeLog(make_JSON_observer(self.out), self.clock, name)
        self.log = Logger(namespace="components.part", observer=LogPublisher(safe))

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
    assert worker.texts[-1] == "50 more lines were left out that are like: client said …"
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


class Controller:
    """What a node's controller prints of a worker's log, by Crossbar's own way from one to the other."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        txaio.use_twisted()
        process = WorkerProcess(None, "router")
        process.pid, process._log_topic = 41, None
        process._logger = txaio.make_logger(observer=NodeLog(self.lines.append, {41: "router-1"}.get))
        process.log(2, cb_logging_aware)
        self.process = process

    def printed(self, worker: Worker) -> list[dict[str, Any]]:
        """Return the lines that are printed of all that the worker has logged."""
        self.process.log(2, worker.out.getvalue())
        worker.out.truncate(0)
        worker.out.seek(0)
        lines, self.lines[:] = [json.loads(line) for line in self.lines], []
        return lines


def test_a_json_line_is_made_by_the_worker_and_printed_as_it_is() -> None:
    worker, controller = Worker("router"), Controller()
    worker.log.warn("client said {what!r}", what="x\r\n{0}\x1b[2J", authid="alice")
    [line] = controller.printed(worker)
    assert (line["worker"], line["component"], line["level"]) == ("router", "part", "warn")
    assert (line["message"], line["what"]) == ("client said 'x\\r\\n{0}\\x1b[2J'", "x\\r\\n{0}\\x1b[2J")
    assert line["authid"] == "alice"


@pytest.mark.parametrize(("logformat", "before"), [("none", r""), ("standard", r"\S+ \[Worker +41\] ")])
def test_under_plain_crossbar_an_object_is_a_line_behind_what_crossbar_puts_there(logformat: str, before: str) -> None:
    worker, controller = Worker("router"), Controller()
    out = io.StringIO()
    observer = make_stdout_observer(format=logformat, _file=out)
    controller.process._logger = txaio.make_logger(observer=observer)
    worker.log.info("client said {what!r}", what="x\r\n{0}\x1b[2J")
    controller.process.log(2, worker.out.getvalue())
    found = re.fullmatch(before + r"(\{.*\})\n", out.getvalue())
    assert found is not None, out.getvalue()
    assert json.loads(found[1])["message"] == "client said 'x\\r\\n{0}\\x1b[2J'"


def test_a_traceback_is_a_field_of_its_own() -> None:
    worker, controller = Worker("router"), Controller()
    worker.log.failure("a thing failed", failure=Failure(ValueError("x" * 100_000)), thing=5)
    [line] = controller.printed(worker)
    assert (line["message"], line["thing"]) == ("a thing failed", 5)
    assert line["traceback"].startswith("Traceback")
    assert "\n" in line["traceback"]
    assert len(line["traceback"]) < 7000


def test_what_a_worker_says_before_its_log_is_safe_is_a_line_too() -> None:
    early = io.StringIO()
    log = Logger(namespace="components.environment", observer=LogPublisher(make_JSON_observer(early)))
    log.critical("refusing to start: {reason}", reason="{no}")
    worker, controller = Worker("router"), Controller()
    worker.out = early
    [line] = controller.printed(worker)
    assert (line["worker"], line["pid"], line["level"]) == ("router-1", 41, "critical")
    assert (line["component"], line["message"]) == ("environment", "refusing to start: {no}")
    crossbars = io.StringIO()
    Logger(namespace="crossbar.worker", observer=LogPublisher(make_JSON_observer(crossbars))).info("Starting")
    worker.out = crossbars
    assert controller.printed(worker) == []


def test_json_lines_that_are_alike_are_counted_when_they_are_many() -> None:
    worker, controller = Worker("router"), Controller()
    for number in range(LINES_BURST + 50):
        worker.log.warn("client said {what}", what=number)
    assert len(controller.printed(worker)) == LINES_BURST
    worker.clock.advance(5)
    [line] = controller.printed(worker)
    assert (line["left_out"], line["like"], line["level"]) == (50, "client said …", "warn")


@pytest.mark.parametrize(
    ("form", "like"),
    [
        ("ticket refused: {cause}, for authid {authid!r}, peer {peer}", "ticket refused: …, for authid …, peer …"),
        ("{{braces}} of {session.id:>5}{more}", "{braces} of ……"),
        ("no { format", "no { format"),
        ("", "without a text"),
    ],
)
def test_lines_that_are_left_out_are_named_as_they_read(form: str, like: str) -> None:
    worker, controller = Worker("router"), Controller()
    for _ in range(LINES_BURST + 1):
        worker.log.emit(LogLevel.warn, form, cause=1, authid=2, peer=3, session=LogLevel.warn, more=4)
    controller.printed(worker)
    worker.clock.advance(5)
    [line] = controller.printed(worker)
    assert (line["left_out"], line["like"]) == (1, like)


def test_a_library_is_heard_in_json_when_it_warns() -> None:
    worker, controller = Worker("router"), Controller()
    library = Logger(namespace="crossbar.router", observer=worker.log.observer)
    library.info("attached")
    library.warn("odd")
    assert [line["message"] for line in controller.printed(worker)] == ["odd"]
    set_global_log_level("debug")
    library.info("attached")
    assert [line["message"] for line in controller.printed(worker)] == ["attached"]
