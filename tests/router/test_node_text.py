"""What a node's controller prints of its log as text: nothing that Crossbar does whenever it starts or ends."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from crossbar.node import main as crossbar_main
from crossbar.node.controller import NodeController
from crossbar.node.worker import NativeWorkerProcess, WorkerProcess
from crossbar.worker.container import ContainerController
from crossbar.worker.controller import WorkerController
from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, LogPublisher, formatEvent
from txaio import set_global_log_level

from components.logs import event, node_log, safe_log
from components.logs.node_log import NodeText, WithoutEmptyHeading
from components.logs.safe_log import SafeLog

SIGINT, SIGTERM = sorted(event._ORDINARY)


class Printed:
    """What is printed of what is logged."""

    def __init__(self, level: str) -> None:
        set_global_log_level(level)
        self.lines: list[str] = []
        self._observer = WithoutEmptyHeading(NodeText(lambda event: self.lines.append(formatEvent(event))))

    def log(self, namespace: str = "crossbar.node.worker.NodeController") -> Logger:
        return Logger(namespace=namespace, observer=LogPublisher(self._observer))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (NodeController.onJoin, SIGINT),
        (WorkerController.onJoin, SIGTERM),
        (WorkerProcess._dump_remaining_log, node_log._HEADING),
        (ContainerController.start_component, safe_log._LOST),
        (crossbar_main._start_logging, "globalLogPublisher.addObserver(observer)"),
        (crossbar_main._run_command_start, "print()"),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_what_is_left_out_is_still_said_so(function: Any, text: str) -> None:
    assert text in inspect.getsource(inspect.unwrap(function))
    assert issubclass(NativeWorkerProcess, WorkerProcess)


def test_a_warning_is_printed_and_an_end_that_was_asked_for_is_none() -> None:
    printed = Printed("warn")
    log = printed.log()
    log.warn(SIGINT, signal=2, shutdown_was_clean=True)
    log.warn(SIGTERM)
    log.warn("Native worker received SIGTERM - shutting down .. by itself")
    log.error("a mistake")
    printed.log("components.node").info("node starts")
    assert printed.lines == ["Native worker received SIGTERM - shutting down .. by itself", "a mistake"]


def test_at_level_info_crosstick_speaks_and_crossbar_only_of_workers_that_end() -> None:
    printed = Printed("info")
    printed.log("components.node").info("node starts")
    printed.log().info("Router worker session joined")
    printed.log().emit(LogLevel.info, "gateway is up", cb_namespace="components.router.gateway.Gateway")
    printed.log().emit(LogLevel.info, "realm started", cb_namespace="crossbar.worker.router.RouterController")
    printed.log().info("Node worker {worker.id} ended successfully", worker=type("Worker", (), {"id": "feed"}))
    assert printed.lines == ["node starts", "gateway is up", "Node worker feed ended successfully"]
    debug = Printed("debug")
    debug.log().info("Router worker session joined")
    assert debug.lines == ["Router worker session joined"]


def test_what_a_program_prints_is_printed_unless_it_is_an_empty_line() -> None:
    printed = Printed("warn")
    for text in ("", " ", "Crossbar.io is already running"):
        printed.log("stdout").info("{log_io}", log_io=text)
    assert printed.lines == ["Crossbar.io is already running"]


@pytest.mark.parametrize(
    ("under_it", "lines"),
    [
        (["", ""], []),
        (["", "half a li"], ["REMAINING LOG BUFFER AFTER EXIT FOR PID 7:", "half a li"]),
    ],
)
def test_a_heading_is_printed_where_something_is_under_it(under_it: list[str], lines: list[str]) -> None:
    printed = Printed("warn")
    log = printed.log("crossbar.node.worker.RouterWorkerProcess")
    log.warn(node_log._HEADING, pid=7)
    for text in under_it:
        log.warn(text)
    printed.log().warn("of another kind")
    assert printed.lines == [*lines, "of another kind"]


def test_a_router_that_goes_is_an_error_until_the_end_is_expected() -> None:
    set_global_log_level("info")
    lines: list[str] = []
    safe = SafeLog(lambda event: lines.append(formatEvent(event)), Clock())
    log = Logger(namespace="crossbar.worker.container.ContainerController", observer=LogPublisher(safe))
    log.error(safe_log._LOST, id="feed")
    safe.expect_end()
    log.error(safe_log._LOST, id="feed")
    log.error("something else")
    assert lines == ["Lost connection to component 'feed' uncleanly", "something else"]
