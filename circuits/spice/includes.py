"""The lines of a netlist's file, with what it includes, as far as the caller permits: files inside of one folder."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from .decoding import decode
from .lexer import Line, split_lines, without_comment

_INCLUDE = re.compile(r"\s*\.(include|incl|inc|lib)(?![A-Za-z0-9_])(.*)", re.ASCII | re.IGNORECASE)
_SECTION = re.compile(r"\s*\.(lib|endl)(?![A-Za-z0-9_])(.*)", re.ASCII | re.IGNORECASE)
_WORD = re.compile(r"\s*(?:\"([^\"]*)\"|'([^']*)'|(\S+))")
_MAX_DEPTH = 10
#: Files that include one another twice double with every level; these bounds are what ends that.
_MAX_FILES = 200
_MAX_BYTES = 64 * 1024 * 1024


def read_file(path: str | Path, folder: str | Path | None) -> tuple[str, list[Line] | None]:
    """A netlist's text, and its lines after the title with all inclusions in place, each with its origin; None: there are none.

    Args:
        path: the file that the user named.
        folder: the only folder whose files may be included; None: no file may, and `.include` cards are errors to the parser.

    Raises:
        InputError: a file that cannot be read; an inclusion outside of the folder, too deep, too large, or of no such section.
    """
    try:
        main = Path(path)
        text = _text(main)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"netlist file {str(path)!r} cannot be read: {error}") from None
    if folder is None:
        return text, None
    try:
        allowed = Path(folder).resolve(strict=True)
        home = main.resolve().parent
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"include_folder = {str(folder)!r}: {error}") from None
    if not allowed.is_dir():
        raise InputError(
            f"include_folder = {str(folder)!r} is not a folder; name the one that holds the files to include"
        )
    lines = list(enumerate(split_lines(text)[1:], start=2))
    if not any(_INCLUDE.match(line) for _, line in lines):
        return text, None
    return text, list(_Includer(allowed).lines(list(lines), home, 0))


class _Includer:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files, self.bytes = 0, 0

    def lines(self, lines: list[Line], home: Path, depth: int) -> Iterator[Line]:
        """Lines with inclusions replaced by what they include; `home` is where the file that holds them is."""
        for where, line in lines:
            match = _INCLUDE.match(line)
            if match is None:
                yield where, line
                continue

            def fault(why: str, where: int | str = where, line: str = line) -> InputError:
                return InputError(f"line {where} ({line.strip()[:80]}): {why}")

            words = ["".join(found) for found in _WORD.findall(without_comment(match[2]))]
            if words and words[0].lower().startswith("pdk:"):  # for the parser: no file is read
                yield where, line
                continue
            is_library = match[1].lower() == "lib"
            if len(words) not in (1, 1 + is_library) or (
                is_library and len(words) == 1 and self.find(words[0], home) is None
            ):
                raise fault(
                    f"write .include FILE, or .lib FILE SECTION; the file must be inside of the folder {str(self.folder)!r}"
                )
            if depth >= _MAX_DEPTH:
                raise fault(f"files include one another more than {_MAX_DEPTH} deep; does one include itself?")
            path = self.find(words[0], home)
            if path is None:
                raise fault(
                    f"{words[0]!r} is no file inside of the folder {str(self.folder)!r}, the only one that may be included"
                )
            try:
                text = _text(path)
            except (OSError, ValueError) as error:
                raise fault(f"{words[0]!r} cannot be read: {error}") from None
            self.files, self.bytes = self.files + 1, self.bytes + len(text)
            if self.files > _MAX_FILES or self.bytes > _MAX_BYTES:
                raise fault(
                    f"more than {_MAX_FILES} files or {_MAX_BYTES >> 20} MiB are included; put them together yourself"
                )
            shown = str(path.relative_to(self.folder))
            try:
                inner: list[Line] = [
                    (f"{number} of {shown}", line) for number, line in enumerate(split_lines(text), start=1)
                ]
            except InputError as error:
                raise InputError(f"{shown}: {error}") from None
            if len(words) == 2:
                inner = _section(
                    inner, words[1], fault(f"there is no section {words[1]!r}, from .lib to .endl, in {shown}")
                )
            yield from self.lines(inner, path.parent, depth + 1)

    def find(self, name: str, home: Path) -> Path | None:
        """The file that is meant, links followed, if it is inside of the folder."""
        for start, spelled in itertools.product((home, self.folder), (name, name.replace("\\", "/"))):
            try:
                path = (start / spelled).resolve(strict=True)
            except (OSError, ValueError, RuntimeError):
                continue
            if path.is_relative_to(self.folder) and path.is_file():
                return path
        return None


def _section(lines: list[Line], name: str, missing: InputError) -> list[Line]:
    """What stands between `.lib NAME` and `.endl`."""
    found: list[Line] = []
    inside = False
    for where, line in lines:
        match = _SECTION.match(line)
        words = ["".join(w) for w in _WORD.findall(without_comment(match[2]))] if match else []
        if match and match[1].lower() == "endl":
            if inside:
                return found
        elif match and len(words) == 1:  # with two words it includes a section of another file
            if inside:
                break
            inside = words[0].lower() == name.lower()
        elif inside:
            found.append((where, line))
    raise missing


def _text(path: Path) -> str:
    if not path.is_file():
        raise ValueError("it is no file")
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES >> 20} MiB")
    return decode(path.read_bytes())
