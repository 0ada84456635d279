"""Feeds: another server's JSON or CSV, kept in a database and read back by `GET /feeds/{name}`.

tasks     the task, and what it gives back
source    pages at a URL: conditional, one after the other, tried again, all of it bounded
rows      a page as rows, and the key of each
database  DATABASE_URL: tables, engine
store     rows into the database in one transaction, and out of it by cursor
"""

from server.tasks.feeds import errors as errors
from server.tasks.feeds.tasks import fetch_feed

__all__ = ["fetch_feed"]
