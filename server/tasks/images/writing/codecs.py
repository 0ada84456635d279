"""The output formats: their capabilities and their encoder settings."""

import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from server.sdk.errors import TaskError
from server.tasks.images.color import flattened
from server.tasks.images.limits import MEMORY, megapixels, too_large
from server.tasks.images.reading.failures import writing
from server.tasks.images.writing.output import Format, Output, check_lossless, too_many_bytes


@dataclass(frozen=True, slots=True)
class Codec:
    """An output format.

    `cost` is a task's measured peak memory for a still picture, in bytes per pixel. `animation_cost` is that for an
    animation: per pixel of all frames, and per pixel of one frame.
    """

    name: Format
    max_side: int
    cost: Callable[[bool, Output], float]
    animation_cost: tuple[float, float]
    #: Encoder settings for a picture and the client's options. They prefer speed if the result hardly differs.
    settings: Callable[[Image.Image, Output], dict[str, Any]]
    default_quality: int | None = None
    transparent: bool = True
    animated: bool = True
    palettes: bool = False
    once: int | None = 1  # Pillow's number of loops for an animation that is shown once
    metadata: tuple[str, ...] = ("exif", "xmp")  # Pillow's names for what is kept

    @property
    def suffix(self) -> str:
        return "jpg" if self.name == "jpeg" else self.name

    @property
    def media_type(self) -> str:
        return f"image/{self.name}"

    def write(
        self,
        images: Sequence[Image.Image],
        durations: Sequence[int],
        loop: int | None,
        output: Output,
        metadata: Mapping[str, bytes],
    ) -> bytes:
        """Encode the file, with at most `max_bytes` bytes.

        `durations` are milliseconds for each frame, `loop` is the number of loops (0: forever, None: once).

        Raises:
            TaskError: `image-too-large`, `image-too-many-bytes`, or `image-format-unsupported` for `lossless`.
        """
        try:
            check_lossless(self.name, output.lossless)
        except ValueError as error:
            raise TaskError("image-format-unsupported", f"{error}.") from None
        alpha = any(image.has_transparency_data for image in images)
        self._check(images[0].size, self.cost(alpha, output), "with transparency" if alpha else "")
        if not self.transparent:
            images = [flattened(image, output.background) for image in images]
        options = self.settings(images[0], output)
        options |= {name: part for name, part in metadata.items() if name in self.metadata}
        if len(images) > 1:
            options |= {"save_all": True, "append_images": images[1:], "duration": list(durations)}
            options["loop"] = self.once if loop is None else loop
        return self._within(output, lambda quality: self._encoded(images, options, quality))

    def _within(self, output: Output, encode: Callable[[int | None], bytes]) -> bytes:
        """Encode at the requested quality, or at the best one that is small enough."""
        quality = self.default_quality if output.quality is None else output.quality
        data = encode(quality)
        limit = output.max_bytes
        if limit is None or len(data) <= limit:
            return data
        if self.default_quality is None or quality is None or output.lossless:
            raise too_many_bytes(self.name, len(data), limit, None)
        best, low, high = None, 1, quality - 1
        while low <= high:
            middle = (low + high) // 2
            data = encode(middle)
            if len(data) <= limit:
                best, low = data, middle + 1
            else:
                high = middle - 1
        if best is None:
            raise too_many_bytes(self.name, len(data), limit, 1)
        return best

    def _encoded(self, images: Sequence[Image.Image], options: Mapping[str, Any], quality: int | None) -> bytes:
        file = io.BytesIO()
        with writing(self.name):
            images[0].save(file, self.name, **({} if self.default_quality is None else {"quality": quality}), **options)
        return file.getvalue()

    def max_frame_pixels(self, area: int) -> float:
        """Return the maximum pixels of all frames of an animation whose frames have `area` pixels."""
        of_all, of_one = self.animation_cost
        return max(0.0, (MEMORY - of_one * area) / of_all)

    def _check(self, size: tuple[int, int], cost: float, variant: str) -> None:
        width, height = size
        limit = MEMORY / cost
        if max(width, height) > self.max_side:
            raise too_large(
                f"The result has {width}x{height} pixels, and a side of {self.name} at most {self.max_side}."
                " Ask for a smaller one, or another format."
            )
        if width * height > limit:
            raise too_large(
                f"The result has {width}x{height} pixels; the limit for {f'{self.name} {variant}'.strip()} is"
                f" {megapixels(limit)}. Ask for a smaller one, or another format."
            )


_AVIF_QUICK = 4  # up to this effort libaom keeps fewer buffers
_FEW_COLORS = 4096  # text, drawings and screenshots have fewer colors, photographs more


def _jpeg(image: Image.Image, output: Output) -> dict[str, Any]:
    """Baseline by default: a progressive file is 4 % smaller but takes five times as long."""
    return {"progressive": output.progressive, "optimize": (output.effort or 1) >= 5}


def _png(image: Image.Image, output: Output) -> dict[str, Any]:
    """Level 1 is 6 % larger than Pillow's default, in half of the time.

    In photographs, only runs of one byte are searched: at 512 px that is a quarter cheaper, and 8 % smaller; a page of
    text would be twice as large.
    """
    if output.effort is not None:
        return {"compress_level": max(1, round(output.effort * 0.9))}
    photograph = image.mode != "P" and image.getcolors(_FEW_COLORS) is None
    return {"compress_level": 1} | ({"compress_type": zlib.Z_RLE} if photograph else {})


def _webp(image: Image.Image, output: Output) -> dict[str, Any]:
    """Method 2 is 5 % larger than 4, in two thirds of the time."""
    method = 2 if output.effort is None else max(2, round(output.effort * 0.6))
    # Exact: keeps the colors of transparent pixels.
    return {"method": method, "lossless": output.lossless, "exact": output.lossless}


def _avif(image: Image.Image, output: Output) -> dict[str, Any]:
    """One thread, because the worker's other children need their cores."""
    return {"speed": 8 if output.effort is None else round(10 - output.effort * 0.6), "max_threads": 1}


def _gif(image: Image.Image, output: Output) -> dict[str, Any]:
    return {"optimize": False, "disposal": 2}


def _jpeg_cost(alpha: bool, output: Output) -> float:
    several_passes = output.progressive or (output.effort or 1) >= 5
    return 16 if alpha else 10 if several_passes else 8.4


def _png_cost(alpha: bool, output: Output) -> float:
    return 11 if alpha else 8.5


def _webp_cost(alpha: bool, output: Output) -> float:
    return 38 if output.lossless else 29 if alpha else 12


def _avif_cost(alpha: bool, output: Output) -> float:
    slow = (output.effort or 0) > _AVIF_QUICK
    return (55 if alpha else 52) if slow else (39 if alpha else 35)


def _gif_cost(alpha: bool, output: Output) -> float:
    return 17.5


CODECS: Mapping[str, Codec] = {
    codec.name: codec
    for codec in (
        Codec("jpeg", 65_500, _jpeg_cost, (0, 0), _jpeg, 80, transparent=False, animated=False),
        Codec("png", 2**31 - 1, _png_cost, (8.4, 60), _png, palettes=True, metadata=("exif",)),
        Codec("webp", 16_383, _webp_cost, (4, 60), _webp, 80),
        Codec("avif", 65_536, _avif_cost, (4.2, 150), _avif, 65),
        Codec("gif", 65_535, _gif_cost, (5, 75), _gif, palettes=True, once=None, metadata=()),
    )
}

#: Formats that are only read: these become PNG, which is lossless.
_INSTEAD = {"bmp": "png", "tiff": "png", "heif": "png"}


def codec_for(format_name: Format | None, input_name: str) -> Codec:
    """Return the codec for the requested format, or for the input's format."""
    name = input_name.lower()
    return CODECS[format_name if format_name is not None else _INSTEAD.get(name, name)]
