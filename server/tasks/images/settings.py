"""The settings of the image tasks."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from server.settings import COMMA_SEPARATED, TaskSettings
from server.tasks.images.text.fonts import is_font


class ImageSettings(TaskSettings):
    """The settings of images: fonts for watermarks."""

    watermark_fonts: Annotated[tuple[Path, ...], *COMMA_SEPARATED] = Field(
        (), description="Font files (.ttf, .otf) for more scripts in watermarks, separated by commas. First match wins."
    )

    @field_validator("watermark_fonts")
    @classmethod
    def _are_fonts(cls, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        for path in paths:
            if not path.is_file():
                raise ValueError(f"there is no file {str(path)!r}")
            with path.open("rb") as file:
                if not is_font(file.read(4)):
                    raise ValueError(f"{str(path)!r} is not a TrueType or OpenType font")
        return paths
