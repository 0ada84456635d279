"""Reads tables in text files (CSV, TSV and the like) for any task.

text     turns an upload into clean UTF-8 text: unpacked, decoded, one type of line break
formats  recognizes files that are not tables
parser   reads the rows, including the header
dialect  finds the delimiter, first row and width of a table from its first rows
header   decides if the first row names the columns
"""

from server.sdk.csv.dialect import Dialect, Options, find_dialect, opened
from server.sdk.csv.parser import Record
from server.sdk.csv.text import Text, clean
from server.sdk.errors import ErrorType, register_error_types

__all__ = ["Dialect", "Options", "Record", "Text", "clean", "find_dialect", "opened"]

register_error_types(
    {
        "csv-unreadable": ErrorType(
            "The file cannot be read as CSV", "The detail names the line and the parameter that helps."
        ),
        "csv-empty": ErrorType("The file has no rows", "Send a file with at least one row."),
        "csv-too-large": ErrorType("The table is too large", "The detail gives the limit; send a part of the table."),
    }
)
