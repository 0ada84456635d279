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
    """Left and top of a box that is placed in `within` as `gravity` says."""
    across = 0.0 if "west" in gravity else 1.0 if "east" in gravity else 0.5
    down = 0.0 if "north" in gravity else 1.0 if "south" in gravity else 0.5
    return (within[0] - size[0]) * across, (within[1] - size[1]) * down


def fit_around(size: Size, box: Size, *, enlarge: bool = False) -> Size:
    """The smallest size of the same proportions that fills `box`; the size itself where it does not yet."""
    scale = max(box[0] / size[0], box[1] / size[1])
    return times(size, scale if enlarge else min(1, scale))


def part_of(size: Size, proportions: Size, gravity: Gravity) -> Box:
    """The largest box of these proportions in a picture, placed as `gravity` says. It never leaves the picture."""
    scale = min(size[0] / proportions[0], size[1] / proportions[1])
    width, height = min(float(size[0]), proportions[0] * scale), min(float(size[1]), proportions[1] * scale)
    left, top = place((width, height), size, gravity)
    return left, top, min(float(size[0]), left + width), min(float(size[1]), top + height)
