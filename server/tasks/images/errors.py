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
        "image-page-missing": ErrorType("The image has no such page", "Ask for a page that it has."),
        "image-too-many-bytes": ErrorType(
            "The result cannot be as small as `max_bytes`", "Ask for fewer pixels, or for another format."
        ),
        "watermark-glyph-missing": ErrorType(
            "The font lacks characters of the text", "Send a font that has the characters that the detail lists."
        ),
        "font-unreadable": ErrorType("The font cannot be read", "Send a TrueType or OpenType file."),
    }
)
