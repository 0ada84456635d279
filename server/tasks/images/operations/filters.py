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
    """One filter. `meaning` explains its amount in the catalog; only some change an RGBA picture's transparency."""

    change: Callable[[Pixels, float], Pixels]
    amount: float
    meaning: str
    changes_alpha: bool = False

    def apply(self, image: Pixels, amount: float) -> Pixels:
        if self.changes_alpha or image.mode != "RGBA":
            return self.change(image, amount)
        result = self.change(image.convert("RGB"), amount)
        result.putalpha(image.getchannel("A"))
        return result


def _blended(change: Callable[[Pixels], Pixels]) -> Callable[[Pixels, float], Pixels]:
    return lambda image, amount: Image.blend(image, change(image), min(1, amount))


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


_SEPIA = (0.393, 0.769, 0.189, 0, 0.349, 0.686, 0.168, 0, 0.272, 0.534, 0.131, 0)  # the brown of old photographs
_SHARE = "from 0, unchanged, to 1, all of it"
_FACTOR = "a factor; 1 is unchanged"

FILTERS: Mapping[str, Filter] = {
    "grayscale": Filter(_blended(lambda image: ImageOps.grayscale(image).convert("RGB")), 1, _SHARE),
    "sepia": Filter(_blended(lambda image: image.convert("RGB", _SEPIA)), 1, _SHARE),
    "invert": Filter(_blended(ImageChops.invert), 1, _SHARE),
    "brightness": Filter(lambda image, amount: ImageEnhance.Brightness(image).enhance(amount), 1.25, _FACTOR),
    "contrast": Filter(lambda image, amount: ImageEnhance.Contrast(image).enhance(amount), 1.25, _FACTOR),
    "saturation": Filter(lambda image, amount: ImageEnhance.Color(image).enhance(amount), 1.25, _FACTOR),
    "autocontrast": Filter(autocontrast, 0, "percent of outliers to ignore at either end"),
    "sharpen": Filter(sharpen, 1, "strength; 0 is unchanged"),
    "blur": Filter(blur, 2, "radius in pixels", changes_alpha=True),
    "pixelate": Filter(pixelate, 10, "side of a square in pixels", changes_alpha=True),
}

if TYPE_CHECKING:
    FilterName = str
else:
    # Computed, so that the list above is the only place with the names; mypy accepts only written literals.
    FilterName = Literal[tuple(FILTERS)]

_MEANINGS = "; ".join(f"{name}: {each.meaning} ({each.amount:g})" for name, each in FILTERS.items())


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
