"""Finds the part of a picture with the most detail."""

from itertools import accumulate

from PIL import Image, ImageChops, ImageFilter

from server.tasks.images.frame import Size
from server.tasks.images.geometry import fit_within

_SMALL_SIDE = 96  # the longest side of the small picture that is analyzed


def busiest_part(image: Image.Image, size: Size) -> tuple[int, int]:
    """Return left and top of the box of this size with the most edges and strong colors; centered if all are equal."""
    small = image.convert("RGB").resize(fit_within(image.size, (_SMALL_SIDE, _SMALL_SIDE)), Image.Resampling.BOX)
    scale = image.width / small.width, image.height / small.height
    box = max(1, round(size[0] / scale[0])), max(1, round(size[1] / scale[1]))
    sums = _summed(_attention(small))
    spare = max(0, small.width - box[0]), max(0, small.height - box[1])

    def rank(corner: tuple[int, int]) -> tuple[int, float]:
        x, y = corner
        right, bottom = min(small.width, x + box[0]), min(small.height, y + box[1])
        detail = sums[bottom][right] - sums[y][right] - sums[bottom][x] + sums[y][x]
        return detail, -abs(x - spare[0] / 2) - abs(y - spare[1] / 2)

    x, y = max(((x, y) for y in range(spare[1] + 1) for x in range(spare[0] + 1)), key=rank)
    free = image.width - size[0], image.height - size[1]
    # Scaled by the free space, so that a box at the small picture's end is also at the large one's end.
    return round(x / spare[0] * free[0]) if spare[0] else free[0] // 2, (
        round(y / spare[1] * free[1]) if spare[1] else free[1] // 2
    )


def _attention(image: Image.Image) -> Image.Image:
    gray = image.convert("L")
    edges = ImageChops.difference(gray, gray.filter(ImageFilter.GaussianBlur(2)))
    strong = image.convert("HSV").getchannel("S").point(lambda value: value // 8)
    return ImageChops.add(edges, strong)


def _summed(image: Image.Image) -> list[list[int]]:
    """Return for each corner the sum of all values to the left and above."""
    values = image.tobytes()
    sums = [[0] * (image.width + 1)]
    for row in range(image.height):
        line = accumulate(values[row * image.width : (row + 1) * image.width], initial=0)
        sums.append([above + value for above, value in zip(sums[-1], line, strict=True)])
    return sums
