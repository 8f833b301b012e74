"""Where a node's own feed keeps the symbols that an operator wants: a file of the node directory."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThread

from components.core.symbol_choice import NO_CHOICE, InvalidChoice, SymbolChoice, decode_choice, encode_choice
from components.durable_file import replace_durably

FILE_NAME = "symbols.json"


class ChoiceFileError(Exception):
    """The file cannot be read or written; the text is one line for the operator."""


class ChoiceFile:
    """Read once, at the start, and replaced with each choice; one process has it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME
        self._one_at_a_time = DeferredLock()

    def load(self) -> SymbolChoice:
        """Return the choice that is kept; ``NO_CHOICE`` where there is none.

        Raises:
            ChoiceFileError: it cannot be known.
        """
        try:
            return decode_choice(self.path.read_bytes())
        except FileNotFoundError:
            return NO_CHOICE
        except OSError as error:
            raise ChoiceFileError(f"{self.path} cannot be read: {error.strerror or error}") from error
        except InvalidChoice as error:
            raise ChoiceFileError(
                f"{self.path} is damaged ({error}): restore it, or remove it to follow the environment's symbols"
            ) from error

    def keep(self, choice: SymbolChoice) -> Deferred[None]:
        """Keep a choice; fires when it will outlive a crash, or with a ``ChoiceFileError``."""
        kept: Deferred[None] = self._one_at_a_time.run(deferToThread, self._write, choice)
        return kept

    def _write(self, choice: SymbolChoice) -> None:
        try:
            replace_durably(self.path, encode_choice(choice))
        except OSError as error:
            raise ChoiceFileError(f"{self.path} cannot be written: {error.strerror or error}") from error
