"""The error types of these tasks."""

from server.sdk.errors import ErrorType, register_error_types

register_error_types(
    {
        "pdf-unreadable": ErrorType("The PDF cannot be read", "Check that the file is complete; save it again."),
        "pdf-encrypted": ErrorType("The PDF needs a password", "Send a copy without a password."),
        "pdf-page-missing": ErrorType("The PDF has no such page", "Ask for a page that it has."),
        "pdf-too-large": ErrorType("The picture of the page would be too large", "Ask for a smaller width."),
    }
)
