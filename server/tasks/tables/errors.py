"""The error types of these tasks."""

from server.sdk.errors import ErrorType, register_error_types

register_error_types(
    {
        "csv-unreadable": ErrorType(
            "The file cannot be read as CSV", "The detail names the line and the parameter that helps."
        ),
        "csv-empty": ErrorType("The file has no rows", "Send a file with at least one row."),
        "csv-too-large": ErrorType("The table is too large", "The detail gives the limit; send a part of the table."),
        "csv-no-such-column": ErrorType("The file has no such column", "The detail lists the columns."),
    }
)
