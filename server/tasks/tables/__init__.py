"""Statistics of CSV files by DuckDB; `server.sdk.csv` reads them.

    tasks       the task and its result
    rows        all rows written plainly for DuckDB, and an account of every line
    database    DuckDB: shut in, bounded in memory
    types       which type fits a column
    statistics  the figures of a column
    report      one HTML page with a picture per column

What arrives is a stranger's: a column's name never becomes SQL or HTML, and nothing outside the task's own folder
can be read.
"""

from server.tasks.tables import errors as errors
from server.tasks.tables.tasks import csv_stats

__all__ = ["csv_stats"]
