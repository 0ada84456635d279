"""The image tasks: one for each operation, and those for the whole image."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Union

from pydantic import BaseModel, Field

from server.sdk.context import Context, Upload
from server.sdk.registry import task
from server.tasks.images.info import ImageInfo, describe_image
from server.tasks.images.limits import MAX_UPLOAD_BYTES
from server.tasks.images.operations import IN_LISTS, OPERATIONS
from server.tasks.images.operations.base import Operation, parameters_of
from server.tasks.images.reading.formats import MEDIA_TYPES, recognized
from server.tasks.images.reading.source import Input, Lenient, Page, Source
from server.tasks.images.render import ImageFile, options_from, render
from server.tasks.images.settings import ImageSettings
from server.tasks.images.text.fonts import is_font
from server.tasks.images.variants import ImageVariants, Variant, VariantName, check_variants, make_variants
from server.tasks.images.writing.metadata import Keep
from server.tasks.images.writing.output import Background, Output, check_lossless

_OPTIONS: dict[str, Any] = {
    "soft_time_limit": 100,
    "time_limit": 120,
    "max_upload_bytes": MAX_UPLOAD_BYTES,
    "accepts": MEDIA_TYPES,
    "recognizes": lambda head: recognized(head) is not None or is_font(head),  # a font: for `watermark`
}

_MAX_OPERATIONS = 20
_MAX_VARIANTS = 20


def _with_signature(
    function: Callable[..., ImageFile], name: str, doc: str, parameters: Sequence[inspect.Parameter]
) -> Callable[..., ImageFile]:
    """Give the function the signature of a task: a context, an image, `parameters`, and the output options."""
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Context)
    image = context.replace(name="image", annotation=Upload)
    signature = [context, image, *parameters, *parameters_of(Output).values(), *parameters_of(Input).values()]
    function.__name__, function.__qualname__, function.__doc__ = name, name, doc
    function.__annotations__ = {one.name: one.annotation for one in signature} | {"return": ImageFile}
    function.__signature__ = inspect.Signature(signature, return_annotation=ImageFile)  # type: ignore[attr-defined]
    return function


def _task_of(operation: Operation) -> Callable[..., ImageFile]:
    """Create the task of one operation: its parameters are next to the image."""

    def run(ctx: Context, image: Upload, **values: Any) -> ImageFile:
        parameters = {name: values[name] for name in operation.parameters if name in values}
        steps = [operation.step(parameters, ctx.settings.part(ImageSettings))]
        return render(
            ctx, Source(image, options_from(values, Input)), operation.name, steps, options_from(values, Output)
        )

    def check(**values: Any) -> None:
        check_lossless(**values)
        operation.check(**values)

    parameters = list(operation.parameters.values())
    return task(check=check, **_OPTIONS)(_with_signature(run, operation.name, operation.summary, parameters))


def _pipeline() -> Callable[..., ImageFile]:
    """Create the task with a list of operations, and the files that they may need next to it."""
    files = {name: one.parameters[name] for one in IN_LISTS.values() for name in one.uploads}
    models: Any = tuple(operation.model for operation in IN_LISTS.values())
    entry: Any = Annotated[Union[models], Field(discriminator="op")]  # noqa: UP007 - its members are computed
    several = Annotated[list[entry], Field(min_length=1, max_length=_MAX_OPERATIONS)]

    def image_pipeline(ctx: Context, image: Upload, operations: list[BaseModel], **values: Any) -> ImageFile:
        settings = ctx.settings.part(ImageSettings)
        steps = [operation.step(parameters, settings) for operation, parameters in _entries(operations, values)]
        return render(ctx, Source(image, options_from(values, Input)), "image", steps, options_from(values, Output))

    def each_fits(operations: list[BaseModel], **values: Any) -> None:
        check_lossless(**values)
        for operation, parameters in _entries(operations, values):
            operation.check(**parameters)

    listed = inspect.Parameter("operations", inspect.Parameter.KEYWORD_ONLY, annotation=several)
    doc = "Take an image through several operations, with one decode and one encode."
    return task(check=each_fits, **_OPTIONS)(
        _with_signature(image_pipeline, "image_pipeline", doc, [listed, *files.values()])
    )


def _entries(operations: Iterable[BaseModel], values: Mapping[str, Any]) -> Iterator[tuple[Operation, dict[str, Any]]]:
    """Return each entry's operation with its own parameters and the files that it uses."""
    for entry in operations:
        parameters = {name: getattr(entry, name) for name in type(entry).model_fields}
        operation = IN_LISTS[parameters.pop("op")]
        yield operation, parameters | {name: values.get(name) for name in operation.uploads}


TASKS = {operation.name: _task_of(operation) for operation in OPERATIONS}

image_pipeline = _pipeline()


@task(check=check_variants, **_OPTIONS)
def image_variants(
    ctx: Context,
    image: Upload,
    variants: Annotated[dict[VariantName, Variant], Field(min_length=1, max_length=_MAX_VARIANTS)],
    background: Background = "#ffffff",
    keep_metadata: Keep = False,
    page: Page = 1,
    lenient: Lenient = False,
) -> ImageVariants:
    """Make several sizes and formats of an image from one decode, each as a file with its variant's name."""
    return make_variants(ctx, Source(image, Input(page, lenient)), variants, background, keep_metadata)


@task(**_OPTIONS)
def image_info(image: Upload, page: Page = 1, lenient: Lenient = False) -> ImageInfo:
    """Describe an image: format, size, mode, frames, EXIF, dominant colors, a placeholder hash."""
    return describe_image(Source(image, Input(page, lenient)))
