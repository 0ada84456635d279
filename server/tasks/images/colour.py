"""Colours: how a client names one, and how pixels of any mode and profile become 8-bit sRGB."""

import functools
import io
import math
from typing import TYPE_CHECKING, Annotated

from PIL import Image, ImageColor
from pydantic import AfterValidator, Field

if TYPE_CHECKING:
    from PIL import ImageCms


def _opaque(colour: str) -> str:
    """`#rrggbb` for any name that CSS knows."""
    try:
        channels = ImageColor.getrgb(colour)
    except ValueError:
        raise ValueError("should be a colour such as #ffffff, white or rgb(255, 255, 255)") from None
    if len(channels) == 4 and channels[3] != 255:
        raise ValueError("should be an opaque colour")
    return "#{:02x}{:02x}{:02x}".format(*(max(0, min(255, channel)) for channel in channels[:3]))


Colour = Annotated[
    str,
    Field(max_length=40, examples=["#ffffff", "navy"]),
    AfterValidator(_opaque),
]

#: Modes that Pillow resamples as they are, and that have a way to RGB or RGBA.
_RESAMPLED = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB")


def plain(image: Image.Image) -> Image.Image:
    """The same picture in a mode that can be resampled: no palette, no bits, no 16-bit or float channel."""
    if image.has_transparency_data and image.mode not in ("LA", "RGBA"):
        return image.convert("RGBA")
    if image.mode in _RESAMPLED:
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey picture of deep or float channels in eight bits. What lies beyond 16 bits is stretched to fit."""
    if image.mode.startswith("I;16"):
        return image.convert("I").point([value >> 8 for value in range(65536)], "L")
    deep = image.convert("F")
    extrema = [float(bound) for bound in deep.getextrema() if isinstance(bound, int | float)]
    low, high = min(extrema), max(extrema)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("it has pixels that are no numbers")
    if low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0 if high > 255 else 255.0
    scale = 255 / (high - low) if high > low else 1.0
    return deep.point(lambda value: value * scale + (0.5 - low * scale)).convert("L")


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """A plain picture as L, LA, RGB or RGBA, in sRGB.

    A profile that is broken, or that is for another mode than the picture's, is as good as none.
    """
    converted = _by_profile(image, profile) if profile else None
    if converted is not None:
        return converted
    return image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGB")


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    mode = {"LA": "L", "RGBA": "RGB", "YCbCr": "RGB"}.get(image.mode, image.mode)
    transform = _transform(profile, mode)
    if transform is None:
        return None
    colours: Image.Image = transform.apply(image if image.mode == mode else image.convert(mode))
    if alpha is not None:
        colours.putalpha(alpha)
    return colours


@functools.lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> "ImageCms.ImageCmsTransform | None":
    # Cameras write the same few profiles into every file, and building a transform takes longer than a thumbnail.
    from PIL import ImageCms  # noqa: PLC0415 - the web process never needs it

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def flattened(image: Image.Image, background: str) -> Image.Image:
    """A picture without transparency: what shone through shows `background`."""
    if image.mode not in ("LA", "RGBA"):
        return image
    ground = Image.new("RGB", image.size, background)
    ground.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return ground
