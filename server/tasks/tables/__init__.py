"""Statistics of CSV files by DuckDB.

    tasks       the task, and what it gives back
    text        an upload as clean UTF-8 text: unpacked, decoded, one kind of line break
    dialect     delimiter, header and width, found in the first rows
    database    DuckDB: shut in, bounded in memory, and the loading of rows
    types       which type fits a column
    statistics  the figures of a column
    report      one HTML page with a picture per column

What arrives is a stranger's: a column's name never becomes SQL or HTML, and nothing outside the task's own folder
can be read.
"""

from server.tasks.tables import errors as errors
from server.tasks.tables.tasks import csv_stats

__all__ = ["csv_stats"]
