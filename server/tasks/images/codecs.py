"""The formats that are written: what each can hold, and with which settings it is written."""

import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from PIL import Image
from pydantic import Field

from server.tasks.images.colour import flattened
from server.tasks.images.failures import writing
from server.tasks.images.limits import MEMORY, megapixels, too_large

Format = Literal["jpeg", "png", "webp", "avif", "gif"]

Quality = Annotated[
    int,
    Field(ge=1, le=100, description="Of jpeg, webp and avif: more is better and larger. png and gif have none."),
]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is kept of an input's metadata, as the encoders take it."""

    exif: bytes = b""
    xmp: bytes = b""


@dataclass(frozen=True, slots=True)
class Motion:
    """How an animation runs: milliseconds for each frame, and how often it loops (0: for ever, None: once)."""

    durations: Sequence[int]
    loop: int | None


@dataclass(frozen=True, slots=True)
class Codec:
    """A format that is written. `bytes_per_pixel` is the picture's and the encoder's peak, as measured."""

    name: Format
    suffix: str
    media_type: str
    max_side: int
    bytes_per_pixel: float
    #: Settings that do not depend on the input. They buy speed where the result hardly shows it.
    settings: Mapping[str, Any]
    default_quality: int | None = None
    transparent: bool = True
    animated: bool = True
    #: Pillow's names for "once" and for metadata differ from format to format.
    loop: Callable[[int | None], dict[str, int]] = lambda loop: {"loop": 1 if loop is None else loop}
    metadata: tuple[str, ...] = ("exif",)
    #: Settings that depend on the picture.
    settings_of: Callable[[Image.Image], dict[str, Any]] = lambda image: {}

    def write(
        self,
        images: Sequence[Image.Image],
        motion: Motion,
        quality: int | None,
        background: str,
        metadata: Metadata,
    ) -> bytes:
        """The file's bytes.

        Raises:
            TaskError: `image-too-large`.
        """
        self._check(images[0].size)
        if not self.transparent:
            images = [flattened(image, background) for image in images]
        options = {**self.settings, **self.settings_of(images[0])}
        options |= {key: value for key in self.metadata if (value := getattr(metadata, key))}
        if self.default_quality is not None:
            options["quality"] = self.default_quality if quality is None else quality
        if len(images) > 1:
            options |= {"save_all": True, "append_images": images[1:], "duration": list(motion.durations)}
            options |= self.loop(motion.loop)
        file = io.BytesIO()
        with writing(self.name):
            images[0].save(file, self.name, **options)
        return file.getvalue()

    def _check(self, size: tuple[int, int]) -> None:
        width, height = size
        most = MEMORY / self.bytes_per_pixel
        if max(width, height) > self.max_side:
            raise too_large(
                f"The result has {width}x{height} pixels, and a side of {self.name} at most {self.max_side}."
                " Ask for a smaller one, or another format."
            )
        if width * height > most:
            raise too_large(
                f"The result has {width}x{height} pixels; {self.name} is written up to {megapixels(most)}."
                " Ask for a smaller one, or another format."
            )


#: Text, drawings and screenshots have fewer, photographs more.
_FEW_COLOURS = 4096


def _deflate(image: Image.Image) -> dict[str, Any]:
    """How zlib looks for what repeats itself: in a photograph, only for runs of one byte.

    At 512 px that is a quarter cheaper, and 8 % smaller; a page of text would be twice as large.
    """
    return {"compress_type": zlib.Z_RLE} if image.getcolors(_FEW_COLOURS) is None else {}


CODECS: Mapping[str, Codec] = {
    codec.name: codec
    for codec in (
        # Baseline: a progressive file is 4 % smaller and costs five times as much.
        Codec(
            "jpeg",
            "jpg",
            "image/jpeg",
            65_500,
            8.4,
            {},
            80,
            transparent=False,
            animated=False,
            metadata=("exif", "xmp"),
        ),
        # Level 1 is 6 % larger than Pillow's default for half of the time.
        Codec("png", "png", "image/png", 2**31 - 1, 8.4, {"compress_level": 1}, settings_of=_deflate),
        # Method 2 is 5 % larger than 4 and takes two thirds of the time.
        Codec("webp", "webp", "image/webp", 16_383, 11.2, {"method": 2}, 80, metadata=("exif", "xmp")),
        # One thread: the worker's other children want their cores.
        Codec(
            "avif",
            "avif",
            "image/avif",
            65_536,
            28.6,
            {"speed": 8, "max_threads": 1},
            65,
            metadata=("exif", "xmp"),
            loop=lambda loop: {},
        ),
        Codec(
            "gif",
            "gif",
            "image/gif",
            65_535,
            13.8,
            {"optimize": False, "disposal": 2},
            metadata=(),
            loop=lambda loop: {} if loop is None else {"loop": loop},
        ),
    )
}

#: Read, and not written: these become PNG, which loses nothing.
_INSTEAD = {"bmp": "png", "tiff": "png"}


def codec_for(format_name: Format | None, input_name: str) -> Codec:
    """The codec for the format asked for, or else for the input's own."""
    own = input_name.lower()
    return CODECS[format_name if format_name is not None else _INSTEAD.get(own, own)]
