"""Computes sizes and positions: fitting one size into another, and aligning one in another."""

from typing import Literal

from server.tasks.images.frame import Box, Size

Gravity = Literal[
    "northwest", "north", "northeast", "west", "center", "east", "southwest", "south", "southeast"
]  # fmt: skip


def fit_within(size: Size, box: tuple[float, float], *, enlarge: bool = False) -> Size:
    """Return the largest size of the same proportions that fits into `box`; a size that fits is not changed."""
    scale = min(box[0] / size[0], box[1] / size[1])
    return times(size, scale if enlarge else min(1, scale))


def times(size: Size, scale: float) -> Size:
    """Scale a size; each side stays at least one pixel."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def align(size: tuple[float, float], within: Size, gravity: Gravity) -> tuple[float, float]:
    """Return left and top of a box placed in `within` according to `gravity`."""
    across = 0.0 if "west" in gravity else 1.0 if "east" in gravity else 0.5
    down = 0.0 if "north" in gravity else 1.0 if "south" in gravity else 0.5
    return (within[0] - size[0]) * across, (within[1] - size[1]) * down


def fit_around(size: Size, box: Size, *, enlarge: bool = False) -> Size:
    """Return the smallest size of the same proportions that covers `box`; a smaller one only grows with `enlarge`."""
    scale = max(box[0] / size[0], box[1] / size[1])
    return times(size, scale if enlarge else min(1, scale))


def part_of(size: Size, proportions: Size, gravity: Gravity) -> Box:
    """Return the largest box of these proportions in a picture, placed by `gravity`, and always inside it."""
    scale = min(size[0] / proportions[0], size[1] / proportions[1])
    width, height = min(float(size[0]), proportions[0] * scale), min(float(size[1]), proportions[1] * scale)
    left, top = align((width, height), size, gravity)
    return left, top, min(float(size[0]), left + width), min(float(size[1]), top + height)
