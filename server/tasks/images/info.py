"""The properties of an image, for `image_info`."""

import io
import math
from typing import Any

from PIL import ExifTags, Image
from pydantic import BaseModel, Field

from server.tasks.images.color import flattened
from server.tasks.images.frame import Frame
from server.tasks.images.geometry import fit_within
from server.tasks.images.reading.failures import BAD_FILE, ignoring_bad_metadata
from server.tasks.images.reading.source import Source

#: The longest side of the small pictures for the colors and for the placeholder.
_COLORS_SIDE, _BLURHASH_SIDE = 96, 32
_COLOURS = 6
_MAX_TEXT_LENGTH = 1000

#: EXIF tags that contain positions of other tags in the file.
_POINTERS = ("ExifOffset", "GPSInfo", "ExifInteroperabilityOffset", "StripOffsets", "StripByteCounts", "TileOffsets")


class DominantColour(BaseModel):
    """A colour, and the share of the image that is about of it."""

    colour: str = Field(examples=["#a0522d"])
    share: float = Field(ge=0, le=1)


class ImageInfo(BaseModel):
    """The result of `image_info`. `width` and `height` are those of the upright image."""

    format: str
    width: int
    height: int
    mode: str = Field(description="Pillow's name for the pixels: RGB, RGBA, L, P, CMYK…")
    frames: int
    pages: int = Field(description="Of a TIFF; 1 for every other format.")
    duration_seconds: float | None = Field(description="Of an animation.")
    transparent: bool
    orientation: int = Field(description="EXIF's: 1 is upright.")
    colour_profile: str | None = Field(description="Name of the embedded ICC profile.")
    exif: dict[str, Any]
    dominant_colours: list[DominantColour]
    blurhash: str = Field(description="A placeholder: see https://blurha.sh.")


def describe_image(source: Source) -> ImageInfo:
    """Compute all fields of `ImageInfo`, decoding no finer than the colors need."""
    frames = source.frame_count
    milliseconds = sum(frame.duration for frame in source.frames()) if frames > 1 else 0
    still = next(source.frames())
    small = still.scaled(fit_within(still.size, (_COLORS_SIDE, _COLORS_SIDE)))
    return ImageInfo(
        format=source.format.name.lower(),
        width=source.size[0],
        height=source.size[1],
        mode=source.mode,
        frames=frames,
        pages=source.count_pages(),
        duration_seconds=round(milliseconds / 1000, 3) if frames > 1 else None,
        transparent=source.transparent,
        orientation=source.orientation,
        colour_profile=_profile_name(source.profile),
        exif=_readable_exif(source.exif),
        dominant_colours=_dominant(small.pixels()),
        blurhash=_placeholder(small),
    )


def _profile_name(profile: bytes | None) -> str | None:
    if profile is None:
        return None
    from PIL import ImageCms  # noqa: PLC0415 - the web process never needs it

    try:
        return ImageCms.getProfileDescription(ImageCms.getOpenProfile(io.BytesIO(profile))).strip()
    except (ImageCms.PyCMSError, *BAD_FILE):
        return None


def _dominant(image: Image.Image) -> list[DominantColour]:
    """Return the most frequent colors, merged with similar ones. Transparent parts are ignored."""
    if image.mode == "RGBA":
        image = _opaque_part(image)
    palette = image.quantize(_COLOURS, Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE)
    pixels = image.width * image.height
    colours = palette.convert("RGB").getcolors(pixels) or []
    return [
        DominantColour(colour="#{:02x}{:02x}{:02x}".format(*colour), share=round(count / pixels, 4))
        for count, colour in sorted(colours, key=lambda entry: -entry[0])
        if isinstance(colour, tuple)
    ]


def _opaque_part(image: Image.Image) -> Image.Image:
    """Return the visible pixels in one row; a white one if there are none."""
    data = image.tobytes()
    visible = b"".join(data[at : at + 3] for at in range(0, len(data), 4) if data[at + 3] >= 128) or b"\xff\xff\xff"
    return Image.frombytes("RGB", (len(visible) // 3, 1), visible)


def _placeholder(frame: Frame) -> str:
    from blurhash import encode  # type: ignore[import-untyped] # noqa: PLC0415 - as above

    image = flattened(frame.pixels(), "#ffffff")
    image = image.resize(fit_within(image.size, (_BLURHASH_SIDE, _BLURHASH_SIDE)), Image.Resampling.BOX)
    data = image.tobytes()
    row = 3 * image.width
    pixels = [[data[at : at + 3] for at in range(start, start + row, 3)] for start in range(0, len(data), row)]
    wide = image.width >= image.height
    return str(encode(pixels, 4 if wide else 3, 3 if wide else 4))


def _readable_exif(exif: Image.Exif) -> dict[str, Any]:
    """Return EXIF by its names, without values that JSON cannot represent; empty if it is broken."""
    with ignoring_bad_metadata():
        parts = (
            (ExifTags.TAGS, exif),
            (ExifTags.TAGS, exif.get_ifd(ExifTags.IFD.Exif)),
            (ExifTags.GPSTAGS, exif.get_ifd(ExifTags.IFD.GPSInfo)),
        )
        values = {names[tag]: _readable(value) for names, part in parts for tag, value in part.items() if tag in names}
        return {name: value for name, value in values.items() if value is not None and name not in _POINTERS}
    return {}


def _readable(value: Any) -> Any:
    """Convert a value to JSON; None for binary ones."""
    if isinstance(value, str):
        return _decoded(value).replace("\0", "").strip()[:_MAX_TEXT_LENGTH] or None
    if isinstance(value, tuple | list):
        parts = [_readable(part) for part in value[:64]]
        return None if None in parts else parts
    if isinstance(value, bool | int):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None


def _decoded(text: str) -> str:
    """Return a text of EXIF as UTF-8 if its bytes are; Pillow reads them as Latin-1."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text
