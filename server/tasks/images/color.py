"""Parses the colors that clients name, and converts pixels of any mode and profile to 8-bit sRGB."""

import functools
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from PIL import Image, ImageColor
from pydantic import AfterValidator, Field

if TYPE_CHECKING:
    from PIL import ImageCms


def _opaque(color: str) -> str:
    """Return `#rrggbb` for any CSS color."""
    try:
        channels = ImageColor.getrgb(color)
    except ValueError:
        raise ValueError("should be a color such as #ffffff, white or rgb(255, 255, 255)") from None
    if len(channels) == 4 and channels[3] != 255:
        raise ValueError("should be an opaque color")
    return "#{:02x}{:02x}{:02x}".format(*(max(0, min(255, channel)) for channel in channels[:3]))


Color = Annotated[str, Field(max_length=40, examples=["#ffffff", "navy"]), AfterValidator(_opaque)]

#: Modes that Pillow resamples directly, and that it can convert to RGB or RGBA.
_RESAMPLED = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB")
_MAX_HIGHLIGHT = 16  # float pixels up to this value are a scale from 0 to 1 with highlights above it

#: The assumed profile of print pictures without one: a coated sheet. From public measurements; see `profiles/`.
_PRESS = Path(__file__).parent / "profiles" / "press.icc"
_SAME = 2  # maximum difference in brightness steps of a profile that counts as sRGB: an invisible rounding error


def plain(image: Image.Image) -> Image.Image:
    """Convert a picture to a mode that can be resampled: no palette, no bits, no 16-bit or float channel."""
    transparent = image.info.get("transparency")
    if isinstance(transparent, int) and (image.mode in ("1", "L") or image.mode.startswith("I;16")):
        return _with_transparent_gray(image, transparent)
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image)
    if image.has_transparency_data and image.mode not in ("LA", "RGBA"):
        return image.convert("RGBA")
    return image if image.mode in _RESAMPLED else image.convert("RGB")


def _with_transparent_gray(image: Image.Image, transparent: int) -> Image.Image:
    """Convert a gray picture with one transparent shade. The shades are compared at full depth."""
    deep = image.mode.startswith("I;16")
    exact = image.convert("I") if deep else image.convert("L")
    mask = [255] * (65536 if deep else 256)
    mask[min(transparent, len(mask) - 1)] = 0
    gray = _eight_bits(image) if deep else exact
    return Image.merge("LA", (gray.copy(), exact.point(mask, "L")))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Convert a gray picture with 16-bit or float channels to eight bits."""
    if image.mode.startswith("I;16"):
        return image.convert("I").point([value >> 8 for value in range(65536)], "L")
    deep = image.convert("F")
    extrema = [float(bound) for bound in deep.getextrema() if isinstance(bound, int | float)]
    low, high = min(extrema), max(extrema)
    # The mean, because comparisons ignore NaN.
    mean = deep.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    if not all(isinstance(each, float) and math.isfinite(each) for each in (low, high, mean)):
        raise ValueError("unsupported: pixels that are not numbers")
    low, high = _range(low, high, image.mode == "F")
    scale = 255 / (high - low) if high > low else 1.0
    return deep.point(lambda value: value * scale + (0.5 - low * scale)).convert("L")


def _range(low: float, high: float, is_float: bool) -> tuple[float, float]:
    """Return the values of black and white. A range without a usual scale is stretched."""
    if is_float and low >= 0 and high <= _MAX_HIGHLIGHT:
        return (0.0, 1.0) if high <= 1 else (low, high)
    if low >= 0 and high <= 65535:
        return 0.0, 65535.0 if high > 255 else 255.0
    return low, high


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert a plain picture to L, LA, RGB or RGBA, in sRGB.

    A profile that is broken, or for another mode, is ignored.
    """
    converted = _by_profile(image, profile) if profile else None
    if converted is None and image.mode == "CMYK":
        converted = _by_profile(image, _PRESS.read_bytes())
    if converted is not None:
        return converted
    return image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGB")


def is_srgb(profile: bytes | None) -> bool:
    """Return whether a palette or an RGB picture with this profile needs no conversion."""
    return profile is None or _transform(profile, "RGB") is None


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    mode = {"LA": "L", "RGBA": "RGB", "YCbCr": "RGB"}.get(image.mode, image.mode)
    transform = _transform(profile, mode)
    if transform is None:
        return None
    colors: Image.Image = transform.apply(image if image.mode == mode else image.convert(mode))
    if alpha is not None:
        colors.putalpha(alpha)
    return colors


@functools.lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> "ImageCms.ImageCmsTransform | None":
    """Return the transform from a profile to sRGB; None if it fails, or if it changes nothing."""
    # Cached: cameras write the same few profiles, and building a transform takes longer than a thumbnail.
    from PIL import ImageCms  # noqa: PLC0415 - the web process never needs it

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION if mode == "CMYK" else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", flags=flags)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return None if _changes_nothing(transform, mode) else transform


def _changes_nothing(transform: "ImageCms.ImageCmsTransform", mode: str) -> bool:
    """Return whether the transform keeps all colors. Colors are compared, because a profile's name may be wrong."""
    if mode not in ("L", "RGB"):
        return False
    steps = range(0, 256, 51)
    colors = [(level, level, level) for level in range(256)]
    if mode == "RGB":
        colors += [(red, green, blue) for red in steps for green in steps for blue in steps]
    before = Image.frombytes("RGB", (len(colors), 1), bytes(channel for color in colors for channel in color))
    after: Image.Image = transform.apply(before.convert(mode))
    return all(abs(one - other) <= _SAME for one, other in zip(before.tobytes(), after.tobytes(), strict=True))


def flattened(image: Image.Image, background: str) -> Image.Image:
    """Return the image with `background` instead of transparency."""
    if image.mode not in ("LA", "RGBA"):
        return image
    ground = Image.new("RGB", image.size, background)
    ground.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return ground
