"""Applies operations to a source and stores the file: one decode, one encode."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from PIL import Image

from server.sdk.context import Context, OutputFile
from server.tasks.images.frame import Frame
from server.tasks.images.limits import megapixels, too_large
from server.tasks.images.operations.base import Step
from server.tasks.images.reading.source import Input, Source
from server.tasks.images.writing.codecs import Codec, codec_for
from server.tasks.images.writing.output import Output

_T = TypeVar("_T", Input, Output)


class ImageFile(OutputFile):
    """An image created by a task."""

    width: int
    height: int
    frames: int = 1


@dataclass(slots=True)
class Sheet:
    """Collects the frames of one result, within the limit."""

    codec: Codec
    images: list[Image.Image] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)

    def add(self, frame: Frame) -> None:
        """Add a frame; refuse an animation that exceeds the limit of its format."""
        palette = frame.palette() if self.codec.palettes else None
        image = frame.display() if palette is None else palette
        self.images.append(image)
        self.durations.append(round(frame.duration))
        areas = [each.width * each.height for each in self.images]
        if len(areas) == 1:
            return  # the codec checks a still picture
        limit = self.codec.max_frame_pixels(max(areas))
        if sum(areas) > limit:
            raise too_large(
                f"The animation would have more than {megapixels(limit)} over all its frames, the limit for"
                f" {self.codec.name} of this size. Ask for a smaller one, or for jpeg, which shows its first frame."
            )

    def save(self, ctx: Context, stem: str, source: Source, output: Output) -> ImageFile:
        metadata = source.metadata(output.keep_metadata)
        data = self.codec.write(self.images, self.durations, source.loop(), output, metadata)
        width, height = self.images[0].size
        about = {"width": width, "height": height, "frames": _frames_of(data) if len(self.images) > 1 else 1}
        saved = ctx.save(f"{stem}.{self.codec.suffix}", data, self.codec.media_type, **about)
        return ImageFile.model_validate(saved.model_dump())


def _frames_of(data: bytes) -> int:
    """Return the number of written frames: encoders merge equal ones."""
    with Image.open(io.BytesIO(data)) as image:
        return int(getattr(image, "n_frames", 1))


def render(ctx: Context, source: Source, stem: str, steps: Sequence[Step], output: Output) -> ImageFile:
    """Apply the steps to every frame, and store the result as `stem` with the format's suffix."""
    codec = codec_for(output.format, source.format.name)
    total = source.frame_count if codec.animated else 1
    sheet = Sheet(codec)
    for index, frame in enumerate(source.frames() if codec.animated else [source.still()]):
        for number, step in enumerate(steps):
            if index or number:  # a report that nothing is done would only cost a round trip
                ctx.progress(index * len(steps) + number, total * len(steps))
            frame = step(frame)  # noqa: PLW2901 - each step uses the previous one's result
        sheet.add(frame)
        # Otherwise its pixels stay in memory while the encoder runs.
        del frame
    ctx.progress(1, 1, "saving")
    return sheet.save(ctx, stem, source, output)


def options_from(values: Mapping[str, Any], options: type[_T]) -> _T:
    """Collect the input or output options among a task's values."""
    return options(**{each.name: values[each.name] for each in fields(options) if each.name in values})
