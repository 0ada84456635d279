"""The error types of these tasks. `server.sdk.csv` defines those of reading a table."""

from server.sdk.errors import ErrorType, register_error_types

register_error_types({"csv-no-such-column": ErrorType("The file has no such column", "The detail lists the columns.")})
