"""The HTTP face: the only place where Flask is imported.

app.py          the application factory        current.py     the store of the request at hand
middleware.py   before and after each request  sessions.py    browsers that have signed in
routes/         a module per resource          body/          JSON, forms, raw bytes; options in the query
responses.py    JSON, ETag, Retry-After        errors.py      every error as `application/problem+json`
openapi/        the document                   ui/            pages
gunicorn_worker/  the worker that holds connections, and waiting clients
"""
