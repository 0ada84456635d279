"""GIF animations, drawn as browsers draw them.

Pillow paints color 0 where a first frame leaves the canvas empty, and an opaque background where a frame is disposed
of. Here both stay transparent. Pillow still decodes each frame, as a separate file.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

Size = tuple[int, int]

_RESTORE_BACKGROUND, _RESTORE_PREVIOUS = 2, 3


@dataclass(frozen=True, slots=True)
class GifFrame:
    """One frame of the file: a rectangle of the canvas."""

    left: int
    top: int
    size: Size
    milliseconds: int
    disposal: int
    file: bytes  # a file with only this frame

    def decoded(self) -> Image.Image:
        image = Image.open(io.BytesIO(self.file), formats=["GIF"])
        image.load()
        return image.convert("RGBA" if image.has_transparency_data else "RGB")


@dataclass(frozen=True, slots=True)
class Gif:
    """A GIF's canvas and its undecoded frames."""

    size: Size
    frames: tuple[GifFrame, ...]

    @property
    def first_fills_canvas(self) -> bool:
        return not self.frames or self.frames[0].size == self.size

    def drawn(self) -> Iterator[tuple[Image.Image, int]]:
        """Yield each state of the canvas, and its duration in milliseconds."""
        canvas = Image.new("RGBA", self.size)
        for frame in self.frames:
            before = canvas.copy() if frame.disposal == _RESTORE_PREVIOUS else None
            part = frame.decoded()
            canvas.paste(part, (frame.left, frame.top), part if part.mode == "RGBA" else None)
            opaque = canvas.getchannel("A").getextrema() == (255, 255)
            yield canvas.convert("RGB") if opaque else canvas.copy(), frame.milliseconds
            if before is not None:
                canvas = before
            elif frame.disposal == _RESTORE_BACKGROUND:
                canvas.paste((0, 0, 0, 0), (frame.left, frame.top, *_corner(frame)))


def _corner(frame: GifFrame) -> Size:
    return frame.left + frame.size[0], frame.top + frame.size[1]


def _blocks(file: BinaryIO) -> bytes:
    """Return the raw sub-blocks up to the empty one that ends them."""
    parts = []
    while (size := file.read(1)) not in (b"", b"\0"):
        parts += [size, file.read(size[0])]
    return b"".join((*parts, size))


def read(data: bytes) -> Gif:
    """Read the frames up to the first invalid block. A file that ends in a header is a struct.error or IndexError."""
    file = io.BytesIO(data)
    width, height, flags = struct.unpack("<HHB", file.read(11)[6:])
    file.read(2)
    palette = _palette(file, flags)
    canvas, frames, control = (width, height), list[GifFrame](), b""
    while (block_type := file.read(1)) in (b"!", b","):
        if block_type == b"!":
            label, blocks = file.read(1), _blocks(file)
            control = blocks[1:5] if label == b"\xf9" and len(blocks) >= 5 else control
            continue
        frame = _frame(file, palette, control)
        if not frames:
            # As in browsers: a first frame that is larger than the canvas determines its size.
            canvas = max(canvas[0], _corner(frame)[0]), max(canvas[1], _corner(frame)[1])
        frames.append(frame)
        control = b""
    return Gif(canvas, tuple(frames))


def _palette(file: BinaryIO, flags: int) -> bytes:
    return file.read(3 << (flags & 7) + 1) if flags & 0x80 else b""


def _frame(file: BinaryIO, shared: bytes, control: bytes) -> GifFrame:
    left, top, width, height, flags = struct.unpack("<HHHHB", file.read(9))
    palette = _palette(file, flags) or shared
    pixels = file.read(1) + _blocks(file)
    bits = (len(palette) // 3).bit_length() - 2
    head = struct.pack("<6sHHBBB", b"GIF89a", width, height, 0x80 | bits if palette else 0, 0, 0)
    extension = b"!\xf9\x04" + control + b"\0" if control else b""
    descriptor = struct.pack("<cHHHHB", b",", 0, 0, width, height, flags & 0x40)
    contents = b"".join((head, palette, extension, descriptor, pixels, b";"))
    milliseconds = 10 * int.from_bytes(control[1:3], "little")
    return GifFrame(left, top, (width, height), milliseconds, (control[0] >> 2) & 7 if control else 0, contents)
