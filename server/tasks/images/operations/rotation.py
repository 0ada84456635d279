"""The operations that rotate and flip an image."""

from typing import Annotated, Literal

from PIL import Image
from pydantic import Field

from server.tasks.images.frame import Frame
from server.tasks.images.limits import check_result_size

_QUARTERS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


def rotate(
    frame: Frame,
    angle: Annotated[float, Field(ge=-360, le=360, description="Degrees, clockwise.")] = 90,
    expand: Annotated[bool, Field(description="Grow so that no corner is cut off.")] = True,
) -> Frame:
    """Rotate an image; the new corners are transparent, or `background` if the format has no transparency."""
    angle %= 360
    if angle == 0:
        return frame
    if angle in _QUARTERS and (expand or angle == 180):
        return frame.moved(lambda image: image.transpose(_QUARTERS[int(angle)]))
    if expand:
        # The corners are inside a square whose side is the diagonal.
        width, height = frame.size
        check_result_size((min(width + height, int((width**2 + height**2) ** 0.5) + 2),) * 2)
    rotated = frame.pixels().convert("RGBA").rotate(-angle, Image.Resampling.BICUBIC, expand)
    return frame.showing(rotated)


def flip(
    frame: Frame,
    direction: Annotated[
        Literal["horizontal", "vertical"], Field(description="horizontal: left becomes right; vertical: top, bottom.")
    ] = "horizontal",
) -> Frame:
    """Mirror an image horizontally or vertically."""
    across = direction == "horizontal"
    mirror = Image.Transpose.FLIP_LEFT_RIGHT if across else Image.Transpose.FLIP_TOP_BOTTOM
    return frame.moved(lambda image: image.transpose(mirror))
