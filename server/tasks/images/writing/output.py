"""Output options: parameters of every image task, and of each of several variants."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from server.sdk.errors import TaskError
from server.tasks.images.color import Color
from server.tasks.images.writing.metadata import Keep

Format = Literal["jpeg", "png", "webp", "avif", "gif"]

Quality = Annotated[
    int, Field(ge=1, le=100, description="For jpeg, webp and avif: higher is better and larger. png and gif have none.")
]
Lossless = Annotated[bool, Field(description="For webp: keep every pixel unchanged; png is always lossless.")]
Effort = Annotated[
    int, Field(ge=1, le=10, description="Higher makes smaller files and takes longer; for all formats but gif.")
]
Progressive = Annotated[bool, Field(description="For jpeg: shown coarsely first, then finer; slower to encode.")]
MaxBytes = Annotated[
    int,
    Field(
        ge=100,
        le=2**30,
        description="Maximum bytes of the file: quality is lowered until it fits. The task fails"
        " if no quality is low enough, or if the format has none.",
    ),
]
Background = Annotated[Color, Field(description="The color of transparent parts if the format has no transparency.")]


@dataclass(frozen=True, slots=True)
class Output:
    """The output options. Its fields are parameters of every image task that makes one file."""

    format: Annotated[
        Format | None,
        Field(description="Default: the input's; bmp, tiff and heif become png. Animations: all but jpeg."),
    ] = None
    quality: Quality | None = None
    lossless: Lossless = False
    effort: Effort | None = None
    progressive: Progressive = False
    max_bytes: MaxBytes | None = None
    background: Background = "#ffffff"
    keep_metadata: Keep = False


def check_lossless(format: str | None, lossless: bool, **_: object) -> None:
    """Refuse `lossless` for a format that is always lossy; None is a format that is not known yet."""
    if lossless and format not in (None, "png", "webp"):
        raise ValueError(f"{format} cannot be `lossless`; ask for the format webp or png")


def too_many_bytes(name: str, size: int, limit: int, at_quality: int | None) -> TaskError:
    """Build the error for a result that cannot be made small enough."""
    written = f"at quality {at_quality}" if at_quality else "which has no lower quality"
    return TaskError(
        "image-too-many-bytes",
        f"The result has {size} bytes as {name} ({written}), and `max_bytes` is {limit}. Ask for fewer pixels, or for"
        " another format.",
    )
