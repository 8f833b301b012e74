"""What leaving leans on inside Crossbar. A failure here after an upgrade says what has moved."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest
from crossbar.common.process import NativeProcess
from crossbar.node import main as crossbar_main
from crossbar.node.controller import NodeController
from crossbar.node.node import Node
from crossbar.node.worker import RouterWorkerProcess
from crossbar.worker.controller import WorkerController
from crossbar.worker.router import RouterController


def test_the_version_is_the_one_that_leaving_was_written_against() -> None:
    assert version("crossbar") == "26.10.1"


@pytest.mark.parametrize(
    ("function", "texts"),
    [
        # The worker's session in the node's own realm, by way of a router of its.
        (RouterController.start_router_realm, ["rlm = self.router_realm_class(self, "]),
        (NativeProcess.__init__, ['self._uri_prefix = "crossbar.worker.{}".format(self._worker_id)']),
        # What it may do there.
        (
            Node._add_worker_role,
            [
                'options.get("expose_controller", True)',
                '"allow": {"call": True, "register": False, "publish": False, "subscribe": True}',
                '"allow": {"call": True, "register": True, "publish": True, "subscribe": True}',
            ],
        ),
        (NodeController.get_workers, ["def get_workers(self, filter_types=[]", ".TYPE in ft"]),
        # Signals.
        (WorkerController.onJoin, ["signal.signal(signal.SIGTERM, shutdown)", "self.shutdown()"]),
        (
            NodeController.onJoin,
            ["self._shutdown_was_clean = True", "self.shutdown()", "signal.signal(signal.SIGINT, signal_handler)"],
        ),
        (
            NodeController.shutdown,
            [
                "if self._shutdown_requested:",
                '"was_clean": self._shutdown_was_clean,',
                '"{}.on_shutdown".format(self._uri_prefix)',
                "_SHUTDOWN_DELAY = 0.2",
            ],
        ),
        (NodeController._cleanup_worker, ['signalProcess("TERM")', "reactor.callLater(1, timeout", "if tried > 20:"]),
        (Node.start, ["self._controller = self.NODE_CONTROLLER(self)"]),
        (crossbar_main._run_command_start, ['if exit_info["was_clean"] is True:', "personality.Node("]),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_what_is_leant_on_is_there(function: Any, texts: list[str]) -> None:
    source = inspect.getsource(inspect.unwrap(function))
    for text in texts:
        assert text in source


def test_router_workers_are_of_this_type() -> None:
    assert RouterWorkerProcess.TYPE == "router"


def test_a_process_that_hangs_is_ended_by_the_system() -> None:
    program = "from components.router.drain.node_link import set_hard_bound\nset_hard_bound(0.3)\nwhile True: pass"
    hanging = subprocess.run([sys.executable, "-W", "ignore", "-c", program], timeout=30, check=False)
    assert hanging.returncode == -signal.SIGALRM
