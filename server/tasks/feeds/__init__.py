"""Feeds: another server's JSON or CSV, kept in a database and read back by `GET /feeds/{name}`.

tasks      the task and its result
headers    request headers, with secrets by name
source     pages at a URL: conditional, one after the other, tried again, all of it bounded
retries    answers that mean "not now", and how long to wait
body       an answer's body: unpacked, and what it is written in
rows       a page as rows, and the key of each
paths      paths into JSON
paging     how the next page is asked for
announced  signs in an answer that there is more
database   DATABASE_URL: tables, engine
routes     `GET /feeds`: what is stored, page by page
store      rows into the database in one transaction, and out of it by cursor
"""

from server.tasks.feeds import errors as errors
from server.tasks.feeds import routes as routes
from server.tasks.feeds.tasks import fetch_feed

__all__ = ["fetch_feed"]
