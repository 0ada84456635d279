"""Colors: how a client names one, and how pixels of any mode and profile become 8-bit sRGB."""

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
    """`#rrggbb` for any name that CSS knows."""
    try:
        channels = ImageColor.getrgb(color)
    except ValueError:
        raise ValueError("should be a color such as #ffffff, white or rgb(255, 255, 255)") from None
    if len(channels) == 4 and channels[3] != 255:
        raise ValueError("should be an opaque color")
    return "#{:02x}{:02x}{:02x}".format(*(max(0, min(255, channel)) for channel in channels[:3]))


Color = Annotated[
    str,
    Field(max_length=40, examples=["#ffffff", "navy"]),
    AfterValidator(_opaque),
]

#: Modes that Pillow resamples as they are, and that have a way to RGB or RGBA.
_RESAMPLED = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB")

#: Floats up to here are a scale of 0 to 1 with highlights beyond it.
_MAX_HIGHLIGHT = 16

#: How pictures for print without a profile are meant: a coated sheet. From public measurements; see `profiles/`.
_PRESS = Path(__file__).parent / "profiles" / "press.icc"

#: Steps of brightness by which a profile may differ from sRGB and be taken for it: rounding, which no eye sees.
_SAME = 2


def plain(image: Image.Image) -> Image.Image:
    """The same picture in a mode that can be resampled: no palette, no bits, no 16-bit or float channel."""
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
    """A gray picture one of whose shades is transparent. The shades are compared before they lose bits."""
    deep = image.mode.startswith("I;16")
    exact = image.convert("I") if deep else image.convert("L")
    mask = [255] * (65536 if deep else 256)
    mask[min(transparent, len(mask) - 1)] = 0
    gray = _eight_bits(image) if deep else exact
    return Image.merge("LA", (gray.copy(), exact.point(mask, "L")))


def _eight_bits(image: Image.Image) -> Image.Image:
    """A gray picture of deep or float channels in eight bits."""
    if image.mode.startswith("I;16"):
        return image.convert("I").point([value >> 8 for value in range(65536)], "L")
    deep = image.convert("F")
    extrema = [float(bound) for bound in deep.getextrema() if isinstance(bound, int | float)]
    low, high = min(extrema), max(extrema)
    # The mean, because comparisons pass over what is not a number.
    mean = deep.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    if not all(isinstance(each, float) and math.isfinite(each) for each in (low, high, mean)):
        raise ValueError("unsupported: pixels that are not numbers")
    low, high = _range(low, high, image.mode == "F")
    scale = 255 / (high - low) if high > low else 1.0
    return deep.point(lambda value: value * scale + (0.5 - low * scale)).convert("L")


def _range(low: float, high: float, is_float: bool) -> tuple[float, float]:
    """The values that become black and white. A range that is no usual scale is stretched to fit."""
    if is_float and low >= 0 and high <= _MAX_HIGHLIGHT:
        return (0.0, 1.0) if high <= 1 else (low, high)
    if low >= 0 and high <= 65535:
        return 0.0, 65535.0 if high > 255 else 255.0
    return low, high


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """A plain picture as L, LA, RGB or RGBA, in sRGB.

    A profile that is broken, or that is for another mode than the picture's, is as good as none.
    """
    converted = _by_profile(image, profile) if profile else None
    if converted is None and image.mode == "CMYK":
        converted = _by_profile(image, _PRESS.read_bytes())
    if converted is not None:
        return converted
    return image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGB")


def is_srgb(profile: bytes | None) -> bool:
    """Whether a palette or a picture of RGB with this profile needs no conversion."""
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
    """The way from a profile to sRGB; None where it cannot be had, or where it changes nothing."""
    # Cameras write the same few profiles into every file, and building a transform takes longer than a thumbnail.
    from PIL import ImageCms  # noqa: PLC0415 - the web process never needs it

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION if mode == "CMYK" else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", flags=flags)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return None if _changes_nothing(transform, mode) else transform


def _changes_nothing(transform: "ImageCms.ImageCmsTransform", mode: str) -> bool:
    """Whether colors are the same after it. Profiles are known by this and not by their names, which may lie."""
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
    """A picture without transparency: `background` shows through."""
    if image.mode not in ("LA", "RGBA"):
        return image
    ground = Image.new("RGB", image.size, background)
    ground.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return ground
