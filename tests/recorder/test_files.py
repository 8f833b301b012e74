"""A recorder's files: complete whenever one looks, begun anew in time, and bounded in what waits for the disk."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from pathlib import Path

from components.core.recording import Findings, read_recording
from components.recorder.files import RecordingFiles
from components.recorder.writer import RecordingWriter
from tests.harness.node import REPOSITORY
from tests.recorder import full_disk

START_S = 1_800_000_000.25


def trade(number: int) -> bytes:
    return b'{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":%d,"p":"1.50","q":"2.0"}}' % number


def files_in(directory: Path, **options: float) -> RecordingFiles:
    rotate_after_s = options.pop("rotate_after_s", 3600.0)
    return RecordingFiles(directory, rotate_after_s=rotate_after_s, max_file_bytes=int(options.pop("max_bytes", 2**30)))


def no_failure(error: Exception) -> None:
    raise AssertionError(f"the disk failed: {error}")


def payloads(path: Path, findings: Findings | None = None) -> list[int]:
    return [json.loads(frame.payload)["t"] for frame in read_recording(path, findings)]


def test_messages_are_written_with_the_time_at_which_they_came(tmp_path: Path) -> None:
    writer = RecordingWriter(files_in(tmp_path), no_failure)
    writer.start()
    writer.take(START_S, [trade(1), b'{"result":null,"id":1}'])
    writer.take(START_S + 0.5, [b"\xff no JSON"])
    writer.close()
    [path] = tmp_path.iterdir()
    assert path.name == "20270115T080000Z.jsonl.gz"
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert lines == [
        {"t": START_S, "msg": trade(1).decode()},
        {"t": START_S, "other": '{"result":null,"id":1}'},
        {"t": START_S + 0.5, "other": "� no JSON"},
    ]
    findings = Findings()
    assert payloads(path, findings) == [1]
    assert findings == Findings(others=2)
    assert (writer.messages, writer.dropped) == (3, 0)


def test_a_file_is_whole_after_each_write_though_nobody_has_closed_it(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    for number in range(3):
        files.write(b"line %d\n" % number, START_S)
        [path] = tmp_path.iterdir()
        assert gzip.decompress(path.read_bytes()).splitlines()[-1] == b"line %d" % number
    files.close()


def test_another_file_begins_in_time_or_by_size_and_names_never_clash(tmp_path: Path) -> None:
    writer = RecordingWriter(files_in(tmp_path, rotate_after_s=60), no_failure)
    writer.start()
    for number, second in enumerate((0, 59, 60, 61, 200)):
        writer.take(START_S + second, [trade(number)])
    writer.close()
    found = sorted(tmp_path.iterdir())
    assert [path.name[9:15] for path in found] == ["080000", "080100", "080320"]
    assert [payloads(path) for path in found] == [[0, 1], [2, 3], [4]]
    files = files_in(tmp_path / ".", max_bytes=1)
    files.write(b"a\n", START_S)
    files.write(b"b\n", START_S)
    assert sorted(path.name for path in tmp_path.iterdir())[:3] == [
        "20270115T080000Z-2.jsonl.gz",
        "20270115T080000Z-3.jsonl.gz",
        "20270115T080000Z.jsonl.gz",
    ]


class SlowFiles(RecordingFiles):
    """A disk that takes nothing until it may."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, rotate_after_s=3600, max_file_bytes=2**30)
        self.writes = threading.Event()
        self.may_write = threading.Event()

    def write(self, lines: bytes, began_s: float) -> None:
        self.writes.set()
        assert self.may_write.wait(10)
        super().write(lines, began_s)


def test_what_a_slow_disk_does_not_take_is_counted_and_the_recording_says_so(tmp_path: Path) -> None:
    files = SlowFiles(tmp_path)
    writer = RecordingWriter(files, no_failure, max_waiting_bytes=3 * (100 + len(trade(0))))
    writer.start()
    writer.take(START_S, [trade(0)] * 3)
    assert files.writes.wait(10)
    for number in range(1, 6):
        writer.take(START_S + number, [trade(number)])
    assert writer.dropped == 2
    files.may_write.set()
    writer.close()
    [path] = tmp_path.iterdir()
    findings = Findings()
    assert payloads(path, findings) == [0, 0, 0, 1, 2, 3]
    assert findings.dropped == 2
    assert writer.messages == 6


def test_a_full_disk_is_told_once_and_what_was_written_is_whole(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", full_disk.__name__, str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == {"errors": ["[Errno 27] File too large"], "messages": 1, "dropped": 2}
    [path] = tmp_path.iterdir()
    assert path.stat().st_size < full_disk.MAX_FILE_BYTES
    assert gzip.decompress(path.read_bytes()).count(b"\n") == 1
