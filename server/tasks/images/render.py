"""From a source through operations to a stored file: one decode, one encode."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from PIL import Image
from pydantic import Field

from server.sdk.context import Context, OutputFile
from server.tasks.images.codecs import Codec, Format, Metadata, Motion, Quality, codec_for
from server.tasks.images.colour import Colour
from server.tasks.images.frame import Frame
from server.tasks.images.limits import MAX_FRAME_PIXELS_OUT, megapixels, too_large
from server.tasks.images.operations.base import Step
from server.tasks.images.source import Source


class ImageFile(OutputFile):
    """An image that a task made."""

    width: int
    height: int
    frames: int = 1


@dataclass(frozen=True, slots=True)
class Output:
    """How a result is written. Its fields are parameters of every image task that makes one file."""

    format: Annotated[
        Format | None, Field(description="Default: the input's; bmp and tiff become png. Animations: all but jpeg.")
    ] = None
    quality: Quality | None = None
    background: Annotated[
        Colour, Field(description="What shows through transparent parts where the format has no transparency.")
    ] = "#ffffff"
    keep_metadata: Annotated[bool, Field(description="Keep EXIF and XMP; png keeps EXIF alone, gif none.")] = False


@dataclass(slots=True)
class Sheet:
    """The frames of one result as they are made, within the limit."""

    codec: Codec
    images: list[Image.Image] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    _pixels: int = 0

    def add(self, frame: Frame) -> None:
        """One more frame.

        Raises:
            TaskError: `image-too-large` where the animation outgrows what is made.
        """
        image = frame.display()
        self._pixels += image.width * image.height
        if self.images and self._pixels > MAX_FRAME_PIXELS_OUT:
            raise too_large(
                f"The animation would have more than {megapixels(MAX_FRAME_PIXELS_OUT)} over all its frames."
                " Ask for a smaller one, or for jpeg, which shows its first frame."
            )
        self.images.append(image)
        self.durations.append(round(frame.duration))

    def save(self, ctx: Context, stem: str, source: Source, output: Output) -> ImageFile:
        """The result, encoded and stored."""
        data = self.codec.write(
            self.images,
            Motion(self.durations, source.loop()),
            output.quality,
            output.background,
            source.metadata() if output.keep_metadata else Metadata(),
        )
        image, count = self.images[0], len(self.images)
        saved = ctx.save(
            f"{stem}.{self.codec.suffix}",
            data,
            self.codec.media_type,
            width=image.width,
            height=image.height,
            frames=count,
        )
        return ImageFile.model_validate(saved.model_dump())


def render(ctx: Context, source: Source, stem: str, steps: Sequence[Step], output: Output) -> ImageFile:
    """Take every frame through the steps, and store the result as `stem` with the format's suffix."""
    codec = codec_for(output.format, source.kind.name)
    total = source.count_frames() if codec.animated else 1
    sheet = Sheet(codec)
    for index, frame in enumerate(source.frames() if codec.animated else [source.still()]):
        for number, step in enumerate(steps):
            ctx.progress(index * len(steps) + number, total * len(steps))
            frame = step(frame)  # noqa: PLW2901 - each step has the one before's result
        sheet.add(frame)
    ctx.progress(1, 1, "saving")
    return sheet.save(ctx, stem, source, output)


def chosen(values: Mapping[str, object]) -> Output:
    """The output that a task's values ask for."""
    return Output(**{name: values[name] for name in Output.__dataclass_fields__ if name in values})  # type: ignore[arg-type]
