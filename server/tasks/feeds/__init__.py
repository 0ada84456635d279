"""Feeds: another server's JSON or CSV, stored in a database and served by `GET /feeds/{name}`.

tasks          the task and its result
headers        request headers, with secrets by name
source         downloads the pages of a URL: conditional requests, paging, retries, limits
retries        rate limits and server errors, and how long to wait
body           an answer's body: unpacking, and its format
rows           the rows of a page, paths into JSON, and the key of each row
paging         builds the request for the next page
page_metadata  what an answer says about further pages and the number of rows
database       DATABASE_URL: tables, engine
routes         `GET /feeds`: the stored rows, page by page
store          writes rows to the database in one transaction, and reads them by cursor
"""

from server.tasks.feeds import errors as errors
from server.tasks.feeds import routes as routes
from server.tasks.feeds.tasks import fetch_feed

__all__ = ["fetch_feed"]
