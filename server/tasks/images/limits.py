"""Limits of images, derived from the memory that one task may use."""

from server.sdk.errors import TaskError

#: Maximum bytes of memory for one task's pixels, from the decoder's first row to the encoder's last. A worker's child
#: may use 512 MiB; the rest is for the file, of up to 50. `tests/images/test_memory.py` tests pictures at every limit
#: below.
MEMORY = 460_000_000

#: The decoded picture, an operation's result, and its temporary memory, as measured: 16.5 for three channels and 18.6
#: for four.
_WORKING_BYTES_PER_PIXEL = 17.5

#: Maximum pixels that an operation reads or creates. A larger picture can still be scaled down while it is decoded.
MAX_PIXELS = int(MEMORY / _WORKING_BYTES_PER_PIXEL)
MAX_SIDE = 10_000  # maximum of a requested side in the schemas

#: Maximum frames of an animation to read, and maximum pixels of all its frames together.
MAX_FRAMES = 500
MAX_FRAME_PIXELS = 420_000_000

#: The largest file. The web server checks it; the worker checks the pixels after it has read the header.
MAX_UPLOAD_BYTES = 50 * 2**20


def too_large(detail: str) -> TaskError:
    return TaskError("image-too-large", detail)


def megapixels(pixels: float) -> str:
    """Format as `50.0 megapixels`, rounded down so that a limit is never overstated."""
    return f"{int(pixels / 100_000) / 10} megapixels"


def check_processed_size(size: tuple[int, int]) -> None:
    """Refuse to process all pixels of a picture of this size."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise too_large(
            f"The image has {width}x{height} pixels; the limit for this operation is {megapixels(MAX_PIXELS)}."
            " Make it smaller first, with `resize` or in an `image_pipeline`."
        )


def check_result_size(size: tuple[int, int]) -> None:
    """Refuse to create a picture of this size, before its memory is allocated."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise too_large(
            f"The result would be {width}x{height} pixels; the limit is {megapixels(MAX_PIXELS)}."
            " Ask for a smaller one."
        )
