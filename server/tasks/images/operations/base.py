"""Operations: each is a function from a frame to a frame, and its signature is the schema of a task."""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, create_model

from server.sdk.context import Upload
from server.tasks.images.frame import Frame
from server.tasks.images.settings import ImageSettings

Step = Callable[[Frame], Frame]
Check = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as the catalog shows it.

    `parameters` are the function's own, without the frame and `settings`; `uploads` names those of them that are
    files. `model` is the operation as one entry of `image_pipeline`'s list, where files are parameters next to the
    list. `check` raises a ValueError where parameters do not fit together.
    """

    name: str
    summary: str
    function: Callable[..., Frame]
    parameters: Mapping[str, inspect.Parameter]
    uploads: tuple[str, ...]
    model: type[BaseModel]
    check: Check

    @classmethod
    def of(cls, function: Callable[..., Frame], name: str = "", check: Check = lambda **_: None) -> "Operation":
        """The operation that a function is. It is called as the function, or as `name`."""
        name = name or function.__name__
        summary = inspect.getdoc(function) or ""
        parameters = parameters_of(function)
        del parameters[next(iter(parameters))]
        parameters.pop("settings", None)
        uploads = tuple(key for key, value in parameters.items() if _takes_file(value.annotation))
        model = _model(name, summary, parameters, uploads)
        return cls(name, summary, function, parameters, uploads, model, check)

    def step(self, values: Mapping[str, Any], settings: ImageSettings) -> Step:
        """Return the function with its parameters, and with the settings if it has a parameter `settings`."""
        injected = {"settings": settings} if "settings" in inspect.signature(self.function).parameters else {}
        return partial(self.function, **values, **injected)


def parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """A function's parameters with their types resolved, each to be given by its name."""
    hints = typing.get_type_hints(function, include_extras=True)
    return {
        name: parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(function).parameters.items()
    }


def _takes_file(annotation: object) -> bool:
    return annotation is Upload or any(_takes_file(part) for part in typing.get_args(annotation))


def _model(
    name: str, summary: str, parameters: Mapping[str, inspect.Parameter], uploads: tuple[str, ...]
) -> type[BaseModel]:
    fields: dict[str, Any] = {"op": (Literal[name], ...)}
    for key, parameter in parameters.items():
        if key not in uploads:
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[key] = (parameter.annotation, default)
    title = "".join(part.capitalize() for part in name.split("_")) + "Operation"
    # `image_pipeline` builds it as a part of its own model.
    config = ConfigDict(extra="forbid", allow_inf_nan=False, defer_build=True)
    return create_model(title, __config__=config, __doc__=summary, **fields)
