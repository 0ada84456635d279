"""Image tasks on Pillow.

    tasks        the tasks, each derived from an operation or from the image as a whole
    operations/  thumbnail, resize, crop…: one function each, listed in `operations/__init__.py`
    variants     several results from one decode
    render       from a source through operations to a stored file
    info         the facts about an image
    frame        one picture on its way: decoded as late and as coarsely as possible
    reading/     an upload opened as an image; its formats, limits and errors
    writing/     the formats that are written, and their options
    text/        fonts and words
    color, geometry, limits, errors

Uploads come from strangers: `reading` makes sure that a bad file ends its task, and nothing else.
"""

from server.tasks.images import errors as errors
from server.tasks.images.tasks import TASKS, image_info, image_pipeline, image_variants

__all__ = ["TASKS", "image_info", "image_pipeline", "image_variants"]
