"""Tables in text (CSV, TSV and the like), read for any task that gets one.

text     an upload as clean UTF-8 text: unpacked, decoded, one kind of line break
formats  files that are not tables, told by what they are
parser   the one reader of rows, the header's included
dialect  delimiter, place and width of a table, found in its first rows
header   whether the first row names the columns
"""

from server.sdk.csv.dialect import Dialect, Options, find
from server.sdk.csv.parser import Reader, Record, Syntax
from server.sdk.csv.text import Text, clean
from server.sdk.errors import ErrorType, register_error_types

__all__ = ["Dialect", "Options", "Reader", "Record", "Syntax", "Text", "clean", "find"]

register_error_types(
    {
        "csv-unreadable": ErrorType(
            "The file cannot be read as CSV", "The detail names the line and the parameter that helps."
        ),
        "csv-empty": ErrorType("The file has no rows", "Send a file with at least one row."),
        "csv-too-large": ErrorType("The table is too large", "The detail gives the limit; send a part of the table."),
    }
)
