"""Where things go: fitting one size into another, and placing one in another."""

from typing import Literal

from server.tasks.images.frame import Box, Size

Gravity = Literal[
    "northwest", "north", "northeast", "west", "center", "east", "southwest", "south", "southeast"
]  # fmt: skip


def fit_within(size: Size, box: tuple[float, float], *, enlarge: bool = False) -> Size:
    """The largest size of the same proportions that fits into `box`; the size itself where it does already."""
    scale = min(box[0] / size[0], box[1] / size[1])
    return times(size, scale if enlarge else min(1, scale))


def times(size: Size, scale: float) -> Size:
    """A size scaled, and never without pixels."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def place(size: tuple[float, float], within: Size, gravity: Gravity) -> tuple[float, float]:
    """Left and top of something that lies in `within` as `gravity` says."""
    across = 0.0 if "west" in gravity else 1.0 if "east" in gravity else 0.5
    down = 0.0 if "north" in gravity else 1.0 if "south" in gravity else 0.5
    return (within[0] - size[0]) * across, (within[1] - size[1]) * down


def middle(size: Size, proportions: Size) -> Box:
    """The largest box of these proportions in the middle of a picture."""
    scale = min(size[0] / proportions[0], size[1] / proportions[1])
    part = proportions[0] * scale, proportions[1] * scale
    left, top = place(part, size, "center")
    return left, top, left + part[0], top + part[1]
