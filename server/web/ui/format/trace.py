"""A traceback for readers: the application's frames stand out, library frames in a row are folded into one line."""

import re
from collections.abc import Iterator
from itertools import groupby

from markupsafe import Markup, escape

_FRAME = re.compile(r'  File "(?P<path>[^"]+)", line \d+')
_PACKAGE = re.compile(r"/site-packages/([^/]+?)(?:\.py|/)")
_LIBRARY = re.compile(r"/(?:site-packages|dist-packages|lib/python3\.\d+)/")
_MAX_SHOWN = 1  # library frames in a row that are shown in full


def traced(text: str) -> Markup:
    """Return a traceback as the content of a `pre`."""
    return Markup("").join(_blocks(text.rstrip().splitlines()))


def _blocks(lines: list[str]) -> Iterator[Markup]:
    for library, group in groupby(_frames(lines), key=lambda frame: _is_library(frame[0])):
        frames = list(group)
        if library is None:
            yield from (_plain(line) for frame in frames for line in frame)
        elif library and len(frames) > _MAX_SHOWN:
            yield _folded(frames)
        else:
            # Own frames are block elements, which end their line themselves.
            form = Markup('<span class="lib">{}</span>\n' if library else '<span class="ours">{}</span>')
            yield from (form.format("\n".join(frame)) for frame in frames)


def _frames(lines: list[str]) -> Iterator[list[str]]:
    """Yield each frame with its lines of code, and every other line alone."""
    frame: list[str] = []
    for line in lines:
        if frame and line.startswith("    "):
            frame.append(line)
            continue
        if frame:
            yield frame
        frame = [line] if _FRAME.match(line) else []
        if not frame:
            yield [line]
    if frame:
        yield frame


def _is_library(line: str) -> bool | None:
    """Return whether a frame is a library's; None for a line that is not a frame."""
    match = _FRAME.match(line)
    return None if match is None else bool(_LIBRARY.search(match["path"]))


def _folded(frames: list[list[str]]) -> Markup:
    names = [match[1] for frame in frames if (match := _PACKAGE.search(frame[0]))]
    named = " and ".join(dict.fromkeys(names)) or "Python's library"
    return Markup('<span class="lib">  … {} frames in {}</span>\n').format(len(frames), named)


def _plain(line: str) -> Markup:
    name, colon, rest = line.partition(":")
    if re.fullmatch(r"[A-Za-z_][\w.]*", name) and not line.startswith(" "):
        return Markup("<b>{}</b>{}{}\n").format(name, colon, rest)
    return Markup("{}\n").format(escape(line))
