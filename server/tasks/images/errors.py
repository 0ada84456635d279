"""The error types of these tasks."""

from server.sdk.errors import ErrorType, register_error_types

register_error_types(
    {
        "image-unreadable": ErrorType(
            "The image cannot be read", "Check that the file is complete; save it again as PNG or JPEG."
        ),
        "image-too-large": ErrorType("The image is too large", "Make it smaller first; the detail gives the limit."),
        "image-format-unsupported": ErrorType(
            "Unsupported image format", "Convert it to one of the formats that the detail lists."
        ),
    }
)
