"""Image tasks, based on Pillow.

    tasks        the tasks: one per operation, and those for the whole image
    operations/  thumbnail, resize, crop…: one function each, listed in `operations/__init__.py`
    variants     several results from one decode
    render       applies operations to a source and stores the file
    info         the properties of an image
    frame        one picture during processing, decoded as late and as coarsely as possible
    reduction    how far a picture may be averaged before the resize filter
    reading/     opens an upload as an image; formats, limits and errors
    writing/     the output formats, and their options
    text/        fonts, and drawing text
    color, geometry, limits, errors

Uploads are untrusted: `reading` makes sure that a bad file only ends its own task.
"""

from server.tasks.images import errors as errors
from server.tasks.images.tasks import TASKS, image_info, image_pipeline, image_variants

__all__ = ["TASKS", "image_info", "image_pipeline", "image_variants"]
