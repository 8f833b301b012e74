"""Where revocations outlive the process: the interface, and a file of the node directory."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

import msgspec
from msgspec import Meta
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.core.revocations import MAX_REVOCATIONS, Revocation, is_over, joined, key_of
from components.durable_file import replace_durably

FILE_NAME = "revocations.json"
LOOK_EVERY_S = 0.5
"""How often the file is looked at for what other processes wrote: a revocation is to be in force everywhere in a second."""


class RevocationStoreError(Exception):
    """Revocations cannot be read or written; the text is one line for the operator."""


class RevocationStore(Protocol):
    """Keeps revocations for this process's next life and for the other processes that share the store.

    What ``apply`` has answered is read by every later ``load``, after a crash of the machine too, and reaches the
    ``watch`` of each process that shares the store within a second. Changes of several processes are never lost to each
    other; of a revocation and a lifting of the same name the later wins.
    """

    def load(self) -> list[Revocation]:
        """Return all there are, at the start.

        Raises:
            RevocationStoreError: they cannot be known. Nobody may be let in then.
        """

    def apply(self, added: Iterable[Revocation], lifted: Iterable[Revocation] = ()) -> Deferred[None]:
        """Add and take back; fires when that will outlive a crash, or with a ``RevocationStoreError``."""

    def watch(self, clock: Any, changed: Callable[[list[Revocation]], None]) -> None:
        """Tell from here on all there are, whenever they have changed."""

    def stop(self) -> None:
        """Watch no more."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: Literal[1]
    revocations: Annotated[list[Revocation], Meta(max_length=MAX_REVOCATIONS)]


_decoder = msgspec.json.Decoder(_File)


class FileRevocationStore:
    """A file that this process and others of the same machine share.

    Read, changed and replaced under a lock, in a thread: the reactor waits for no disk. The directory must be on a disk of the
    machine itself, where ``flock`` and ``rename`` hold what they promise.
    """

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, directory: Path, wall: Callable[[], float] = time.time) -> None:
        """Use a file of ``directory``; ``wall`` returns Unix time in s."""
        self._wall = wall
        self.path = directory / FILE_NAME
        self._lock_path = directory / (FILE_NAME + ".lock")
        self._one_at_a_time = DeferredLock()
        self._seen: object = None
        """What the file looked like when it was read or written last."""
        self._changed: Callable[[list[Revocation]], None] = lambda revocations: None
        self._look = LoopingCall(self._look_at_file)

    def load(self) -> list[Revocation]:
        """Return what the file holds; nothing where there is none.

        Raises:
            RevocationStoreError: it is damaged, or cannot be read.
        """
        self._seen = self._appearance()
        return self._read()

    def apply(self, added: Iterable[Revocation], lifted: Iterable[Revocation] = ()) -> Deferred[None]:
        """Change the file."""
        added, lifted = tuple(added), tuple(lifted)
        done: Deferred[None] = self._one_at_a_time.run(deferToThread, self._change, added, lifted)
        return done

    def watch(self, clock: Any, changed: Callable[[list[Revocation]], None]) -> None:
        """Look at the file twice a second; a damaged one is logged, and changes nothing."""
        self._changed = changed
        self._look.clock = clock
        self._look.start(LOOK_EVERY_S, now=False).addErrback(self._look_failed)

    def stop(self) -> None:
        """Look no more."""
        if self._look.running:
            self._look.stop()

    def _change(self, added: tuple[Revocation, ...], lifted: tuple[Revocation, ...]) -> None:
        try:
            with self._locked():
                if self._seen is not None and not self.path.exists():
                    raise RevocationStoreError(f"{self.path} has been removed under the running node: restart it")
                now_s = int(self._wall())
                entries = {key_of(one): one for one in self._read() if not is_over(one, now_s)}
                for one in lifted:
                    entries.pop(key_of(one), None)
                for one in added:
                    key = key_of(one)
                    entries[key] = joined(one, entries[key]) if key in entries else one
                if len(entries) > MAX_REVOCATIONS:
                    raise RevocationStoreError(f"{self.path} would hold more than {MAX_REVOCATIONS} revocations")
                self._write(list(entries.values()))
                # From here on it is there to stay; the next look reads it.
                self._seen = self._seen or ()
        except OSError as error:
            raise RevocationStoreError(f"{self.path} cannot be written: {error.strerror or error}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> list[Revocation]:
        try:
            return _decoder.decode(self.path.read_bytes()).revocations
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RevocationStoreError(f"{self.path} cannot be read: {error.strerror or error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RevocationStoreError(
                f"{self.path} is damaged ({error}): restore it, or remove it to let every revoked token in again"
            ) from error

    def _write(self, revocations: list[Revocation]) -> None:
        replace_durably(self.path, msgspec.json.encode(_File(1, revocations)))

    def _appearance(self) -> object:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _look_at_file(self) -> Any:
        try:
            appearance = self._appearance()
        except OSError as error:
            self.life_log.error("{path} cannot be looked at: {error}", path=str(self.path), error=error.strerror)
            return None
        if appearance == self._seen:
            return None
        self._seen = appearance or ()
        if appearance is None:
            self.life_log.error("{path} has been removed: what is in force stays as it is", path=str(self.path))
            return None
        return self._one_at_a_time.run(deferToThread, self._read).addCallbacks(self._changed, self._not_read)

    def _not_read(self, failure: Failure) -> None:
        failure.trap(RevocationStoreError)
        self.life_log.error("what is in force stays as it is: {error}", error=str(failure.value))

    def _look_failed(self, failure: Failure) -> None:
        self.life_log.failure("the watch over revocations stopped", failure=failure)
