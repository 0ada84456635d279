"""The list of image operations. Each function's docstring describes it.

To add one, write a function `(frame, …parameters) -> Frame` and name it below. It becomes a task of its own in the
catalog, and an entry of `image_pipeline`'s list of operations. An effect of color or sharpness is a line in `FILTERS`
of filters.py instead.
"""

from collections.abc import Mapping

from server.tasks.images.operations.base import Operation
from server.tasks.images.operations.crop import crop, trim
from server.tasks.images.operations.filters import FILTERS, by_name, filter_
from server.tasks.images.operations.rotation import flip, rotate
from server.tasks.images.operations.sizes import resize, thumbnail
from server.tasks.images.operations.watermark import has_a_mark, watermark

OPERATIONS = (
    Operation.of(thumbnail),
    Operation.of(resize),
    Operation.of(crop),
    Operation.of(trim),
    Operation.of(filter_, name="filter"),
    Operation.of(rotate),
    Operation.of(flip),
    Operation.of(watermark, check=has_a_mark),
)

#: The operations by their names in a list: each of the above, and each filter by its own name.
IN_LISTS: Mapping[str, Operation] = {
    operation.name: operation
    for operation in (*OPERATIONS, *(Operation.of(by_name(name), name=name) for name in FILTERS))
}
