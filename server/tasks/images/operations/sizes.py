"""Operations that change how many pixels there are."""

from typing import Annotated, Literal

from pydantic import Field

from server.tasks.images.frame import Frame
from server.tasks.images.geometry import fit_within, middle, times
from server.tasks.images.limits import MAX_SIDE

Side = Annotated[int, Field(ge=1, le=MAX_SIDE, description="Pixels.")]


def thumbnail(frame: Frame, width: Side = 128, height: Side = 128) -> Frame:
    """Fit an image within `width` x `height`, in proportion; it is never enlarged."""
    return frame.scaled(fit_within(frame.size, (width, height)))


def resize(
    frame: Frame,
    width: Side | None = None,
    height: Side | None = None,
    fit: Annotated[
        Literal["contain", "cover", "fill"],
        Field(description="contain: within the box; cover: fills the box, what juts out is cut; fill: is stretched."),
    ] = "contain",
    enlarge: Annotated[bool, Field(description="Whether a small image may grow.")] = False,
) -> Frame:
    """Bring an image to `width` x `height`; a side that is left out follows from the other."""
    if width is None or height is None:
        bounds = (width or float("inf"), height or float("inf"))
        scalable = enlarge and bounds != (float("inf"), float("inf"))
        return frame.scaled(fit_within(frame.size, bounds, enlarge=scalable))
    if fit == "contain":
        return frame.scaled(fit_within(frame.size, (width, height), enlarge=enlarge))
    if fit == "fill":
        return frame.scaled((width, height) if enlarge else (min(width, frame.size[0]), min(height, frame.size[1])))
    # A box larger than the image shrinks and keeps its proportions: these are what a page's layout relies on.
    room = 1.0 if enlarge else min(1.0, frame.size[0] / width, frame.size[1] / height)
    size = times((width, height), room)
    return frame.scaled(size, middle(frame.size, size))
