"""Image tasks on Pillow.

    tasks        the tasks, each derived from an operation or from the image as a whole
    operations/  thumbnail, resize, crop…: one function each, listed in `operations/__init__.py`
    variants     several results from one decode
    render       from a source through operations to a stored file
    info         what can be said of an image
    codecs       the formats that are written
    frame        one picture on its way: decoded as late and as coarsely as can be
    source       an upload opened as an image, within the limits
    kinds        the formats that are read, known by their bytes
    colour, geometry, limits, failures

What arrives is a stranger's: `source` and `failures` see to it that a bad file ends its task, and nothing else.
"""

from server.tasks.images import errors as errors
from server.tasks.images.tasks import TASKS, image_info, image_pipeline, image_variants

__all__ = ["TASKS", "image_info", "image_pipeline", "image_variants"]
