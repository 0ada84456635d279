"""How much an image may ask for. All figures follow from the memory that one task may need."""

from server.sdk.errors import TaskError

#: What one task may need in bytes, from the decoder's first row to the encoder's last. A worker's child may take 512
#: MiB; the rest is for the file, which has up to 50. `tests/images/test_memory.py` makes pictures of every limit below.
MEMORY = 460_000_000

#: The decoded picture, what an operation makes of it, and what it needs on the way, as measured: 16.5 for three
#: channels and 18.6 for four.
_WORKING_BYTES_PER_PIXEL = 17.5

#: No operation works on more pixels, or makes more. A larger picture can still be scaled down, as it is read.
MAX_PIXELS = int(MEMORY / _WORKING_BYTES_PER_PIXEL)

#: The schemas' bound for a side that a client asks for.
MAX_SIDE = 10_000

#: An animation's frames, and the pixels of all its frames together, as they are read.
MAX_FRAMES = 500
MAX_FRAME_PIXELS = 420_000_000

#: The largest file. The web server checks it; the worker checks the pixels, when it has read the header.
MAX_UPLOAD_BYTES = 50 * 2**20


def too_large(detail: str) -> TaskError:
    """The one way to say that an image asks for too much."""
    return TaskError("image-too-large", detail)


def megapixels(pixels: float) -> str:
    """`50.0 megapixels`, rounded down so that a limit is never overstated."""
    return f"{int(pixels / 100_000) / 10} megapixels"


def check_worked_on(size: tuple[int, int]) -> None:
    """Refuse to work on all pixels of a picture of this size.

    Raises:
        TaskError: `image-too-large`.
    """
    width, height = size
    if width * height > MAX_PIXELS:
        raise too_large(
            f"The image has {width}x{height} pixels; the limit for this operation is {megapixels(MAX_PIXELS)}."
            " Make it smaller first, with `resize` or in an `image_pipeline`."
        )


def check_made(size: tuple[int, int]) -> None:
    """Refuse to make a picture of this size, before its memory is asked for.

    Raises:
        TaskError: `image-too-large`.
    """
    width, height = size
    if width * height > MAX_PIXELS:
        raise too_large(
            f"The result would be {width}x{height} pixels; the limit is {megapixels(MAX_PIXELS)}."
            " Ask for a smaller one."
        )
