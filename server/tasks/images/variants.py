"""Several sizes and formats of one image, from one decode."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from server.sdk.context import Context
from server.tasks.images.frame import Frame, Size
from server.tasks.images.geometry import fit_within
from server.tasks.images.operations.sizes import Side
from server.tasks.images.reading.source import Source
from server.tasks.images.render import ImageFile, Sheet
from server.tasks.images.writing.codecs import codec_for
from server.tasks.images.writing.output import (
    Effort,
    Format,
    Lossless,
    MaxBytes,
    Output,
    Progressive,
    Quality,
    check_lossless,
)

VariantName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

#: Minimum ratio of the picture that a smaller variant is made from: 1.3 if it was made from the decoded picture, and
#: more with each step in between; otherwise seven steps would leave text at a similarity of 0.978. A tenth cheaper than
#: 1.5.
_MIN_RATIO, _MIN_RATIO_PER_STEP = 1.0, 0.3


class Variant(BaseModel):
    """One of the results: it fits into `width` x `height`, and is never enlarged."""

    model_config = ConfigDict(extra="forbid")

    width: Side
    height: Annotated[Side | None, Field(description="Default: from the proportions.")] = None
    format: Annotated[Format | None, Field(description="Default: the input's; bmp, tiff and heif become png.")] = None
    quality: Quality | None = None
    lossless: Lossless = False
    effort: Effort | None = None
    progressive: Progressive = False
    max_bytes: MaxBytes | None = None

    def size(self, size: Size) -> Size:
        return fit_within(size, (self.width, self.height or float("inf")))

    def output(self, background: str, keep_metadata: bool | str) -> Output:
        options = self.model_dump(exclude={"width", "height"})
        return Output(**options, background=background, keep_metadata=keep_metadata)  # type: ignore[arg-type]


class ImageVariants(BaseModel):
    """The files by variant name."""

    variants: dict[str, ImageFile]


def check_variants(variants: Mapping[str, Variant], **_: object) -> None:
    """Refuse a variant whose options contradict each other."""
    for variant in variants.values():
        check_lossless(variant.format, variant.lossless)


def make_variants(
    ctx: Context, source: Source, variants: Mapping[str, Variant], background: str, keep_metadata: bool | str
) -> ImageVariants:
    """Decode once, as finely as the largest variant needs; make each from the smallest picture that is large enough."""
    sheets = {name: Sheet(codec_for(variant.format, source.format.name)) for name, variant in variants.items()}
    sizes = {name: variant.size(source.size) for name, variant in variants.items()}
    moving = any(sheet.codec.animated for sheet in sheets.values())
    total = (source.frame_count if moving else 1) + len(variants)
    for index, frame in enumerate(source.frames() if moving else [source.still()]):
        ctx.progress(index, total)
        # A still format only shows an animation's first frame.
        wanted = {name: size for name, size in sizes.items() if index == 0 or sheets[name].codec.animated}
        for name, picture in _ladder(frame, wanted).items():
            sheets[name].add(picture)
    files = {}
    for index, (name, variant) in enumerate(variants.items(), total - len(variants)):
        ctx.progress(index, total, f"saving {name}")
        files[name] = sheets.pop(name).save(ctx, name, source, variant.output(background, keep_metadata))
    return ImageVariants(variants=files)


def _ladder(frame: Frame, sizes: Mapping[str, Size]) -> dict[str, Frame]:
    """Return one picture in several sizes."""
    base = frame.coarse((max(size[0] for size in sizes.values()), max(size[1] for size in sizes.values())))
    rungs = [(base, 0)]
    pictures = {}
    for name, size in sorted(sizes.items(), key=lambda item: -item[1][0] * item[1][1]):
        if size == rungs[-1][0].size and len(rungs) > 1:
            pictures[name] = rungs[-1][0]
            continue
        rung, steps = next((each for each in reversed(rungs[1:]) if _will_do(*each, size)), rungs[0])
        pictures[name] = rung.scaled(size)
        rungs.append((pictures[name], steps + 1))
    return pictures


def _will_do(rung: Frame, steps: int, size: Size) -> bool:
    return rung.size[0] >= (_MIN_RATIO + _MIN_RATIO_PER_STEP * steps) * size[0]
