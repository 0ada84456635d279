"""Filters: each is a function from pixels (RGB, or RGBA) and an amount to pixels. `FILTERS` lists them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps
from pydantic import Field

from server.tasks.images.frame import Frame

Pixels = Image.Image
Amount = Annotated[float, Field(ge=0, le=100)]


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter. `meaning` explains its amount in the catalog."""

    apply: Callable[[Pixels, float], Pixels]
    amount: float
    meaning: str


def grayscale(image: Pixels, amount: float) -> Pixels:
    return Image.blend(image, ImageOps.grayscale(image).convert("RGB"), min(1, amount))


def sepia(image: Pixels, amount: float) -> Pixels:
    """Apply the brown of old photographs."""
    brown = (0.393, 0.769, 0.189, 0, 0.349, 0.686, 0.168, 0, 0.272, 0.534, 0.131, 0)
    return Image.blend(image, image.convert("RGB", brown), min(1, amount))


def invert(image: Pixels, amount: float) -> Pixels:
    return Image.blend(image, ImageChops.invert(image), min(1, amount))


def brightness(image: Pixels, amount: float) -> Pixels:
    return ImageEnhance.Brightness(image).enhance(amount)


def contrast(image: Pixels, amount: float) -> Pixels:
    return ImageEnhance.Contrast(image).enhance(amount)


def saturation(image: Pixels, amount: float) -> Pixels:
    return ImageEnhance.Color(image).enhance(amount)


def autocontrast(image: Pixels, amount: float) -> Pixels:
    """Stretch the brightness to the whole range."""
    return ImageOps.autocontrast(image, cutoff=min(49, amount))


def sharpen(image: Pixels, amount: float) -> Pixels:
    return image.filter(ImageFilter.UnsharpMask(radius=2, percent=round(100 * amount), threshold=2))


def blur(image: Pixels, amount: float) -> Pixels:
    if image.mode != "RGBA":
        return image.filter(ImageFilter.GaussianBlur(amount))
    # Premultiplied, so that invisible colors do not affect visible pixels.
    return image.convert("RGBa").filter(ImageFilter.GaussianBlur(amount)).convert("RGBA")


def pixelate(image: Pixels, amount: float) -> Pixels:
    """Replace squares by their average color."""
    block = max(1, round(amount))
    small = image.reduce(block)
    squares = small.resize((small.width * block, small.height * block), Image.Resampling.NEAREST)
    return squares.crop((0, 0, *image.size))


def _colors_only(function: Callable[[Pixels, float], Pixels]) -> Callable[[Pixels, float], Pixels]:
    """Apply a filter to colors only; transparency is not changed."""

    def apply(image: Pixels, amount: float) -> Pixels:
        if image.mode != "RGBA":
            return function(image, amount)
        result = function(image.convert("RGB"), amount)
        result.putalpha(image.getchannel("A"))
        return result

    return apply


FILTERS: Mapping[str, Filter] = {
    "grayscale": Filter(_colors_only(grayscale), 1, "from 0, unchanged, to 1, all of it"),
    "sepia": Filter(_colors_only(sepia), 1, "from 0, unchanged, to 1, all of it"),
    "invert": Filter(_colors_only(invert), 1, "from 0, unchanged, to 1, all of it"),
    "brightness": Filter(_colors_only(brightness), 1.25, "a factor; 1 is unchanged"),
    "contrast": Filter(_colors_only(contrast), 1.25, "a factor; 1 is unchanged"),
    "saturation": Filter(_colors_only(saturation), 1.25, "a factor; 1 is unchanged"),
    "autocontrast": Filter(_colors_only(autocontrast), 0, "percent of outliers to ignore at either end"),
    "sharpen": Filter(_colors_only(sharpen), 1, "strength; 0 is unchanged"),
    "blur": Filter(blur, 2, "radius in pixels"),
    "pixelate": Filter(pixelate, 10, "side of a square in pixels"),
}

if TYPE_CHECKING:
    FilterName = str
else:
    # Computed, so that the list above is the only place with the names; mypy accepts only written literals.
    FilterName = Literal[tuple(FILTERS)]

_MEANINGS = "; ".join(f"{name}: {kind.meaning} ({kind.amount:g})" for name, kind in FILTERS.items())


def filter_(
    frame: Frame,
    name: FilterName,
    amount: Annotated[Amount | None, Field(description=f"Meaning and default, by filter: {_MEANINGS}.")] = None,
) -> Frame:
    """Change an image's colors or sharpness: grayscale, blur, sharpen, brightness, sepia and others by `name`."""
    chosen = FILTERS[name]
    return frame.showing(chosen.apply(frame.pixels(), chosen.amount if amount is None else amount))


def by_name(name: str) -> Callable[..., Frame]:
    """Return the filter as an operation of its own, for lists of operations with `{"op": "blur"}`."""
    chosen = FILTERS[name]
    explained = Annotated[float, Field(ge=0, le=100, description=f"{chosen.meaning.capitalize()}.")]

    def apply(frame: Frame, amount: float = chosen.amount) -> Frame:
        return frame.showing(chosen.apply(frame.pixels(), amount))

    apply.__annotations__["amount"] = explained
    apply.__doc__ = f"The filter {name}."
    return apply
