"""Statistics of CSV files with DuckDB; `server.sdk.csv` reads the files.

    tasks       the task and its result
    rows        rewrites all rows plainly for DuckDB, and accounts for every line
    database    DuckDB in a sandbox with limited memory
    types       finds the type that fits a column
    statistics  the statistics of a column
    report      one HTML page with a picture per column

Files are untrusted: a column's name never becomes SQL or HTML, and DuckDB can read nothing outside the task's own
folder.
"""

from server.tasks.tables.tasks import csv_stats

__all__ = ["csv_stats"]
