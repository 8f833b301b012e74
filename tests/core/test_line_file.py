"""Lines of files, plain and compressed, whole and broken."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from components.core import line_file
from components.core.line_file import DamagedFile, LineFile

LINES = [b"line %d " % number + b"x" * (number % 50) for number in range(20_000)]
TEXT = b"\n".join(LINES) + b"\n"


def written(path: Path, text: bytes) -> Path:
    if path.suffix == ".gz":
        # Of many members, as a recorder writes them.
        path.write_bytes(b"".join(gzip.compress(text[at : at + 50_000]) for at in range(0, len(text), 50_000)))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("lines.csv", text)
    else:
        path.write_bytes(text)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.zip"])
def test_all_lines_are_there_and_the_end_is_known(tmp_path: Path, name: str) -> None:
    file = LineFile(written(tmp_path / name, TEXT))
    assert file.position_bytes == 0
    assert list(file) == LINES
    assert (file.line, file.ended_early, file.unended) == (len(LINES), False, False)
    assert file.position_bytes == file.size_bytes


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.zip"])
def test_a_last_line_without_an_end_is_told(tmp_path: Path, name: str) -> None:
    file = LineFile(written(tmp_path / name, TEXT[:-1]))
    assert list(file) == LINES
    assert file.unended


def test_what_is_compressed_and_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    path = written(tmp_path / "a.gz", TEXT)
    whole = path.read_bytes()
    for cut in (1, 10, len(whole) // 3):
        path.write_bytes(whole[:-cut])
        file = LineFile(path)
        lines = list(file)
        assert lines == LINES[: len(lines)]
        assert file.ended_early
        assert len(lines) > 0.6 * len(LINES)


def test_damage_in_the_middle_is_named_by_file_and_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.gz", TEXT)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(DamagedFile, match=r"a\.gz:\d+: damaged: "):
        list(LineFile(path))


def test_an_archive_must_be_one_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"no archive")
    with pytest.raises(DamagedFile, match=r"a\.zip:1: the archive cannot be read"):
        LineFile(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "")
        archive.writestr("b", "")
    with pytest.raises(DamagedFile, match="must have one file in it, had 2"):
        LineFile(path)


def test_an_endless_line_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_file, "MAX_LINE_BYTES", 1000)
    with pytest.raises(DamagedFile, match=r"a\.jsonl:2: a line is longer than 1000 bytes"):
        list(LineFile(written(tmp_path / "a.jsonl", b"first\n" + b"x" * 2000)))
