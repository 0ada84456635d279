"""The error types of these tasks. Those of reading a table are with its reader, `server.sdk.csv`."""

from server.sdk.errors import ErrorType, register_error_types

register_error_types({"csv-no-such-column": ErrorType("The file has no such column", "The detail lists the columns.")})
