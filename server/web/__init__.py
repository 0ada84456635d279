"""The HTTP side of the server. Flask is imported in this package only.

app.py          the application factory        current.py     the store of the current request
middleware.py   before and after each request  sessions.py    sign-in with a browser
routes/         a module per resource          body/          JSON, forms, raw bytes; options in the query
responses.py    JSON, ETag, Retry-After        errors.py      every error as `application/problem+json`
openapi/        the document                   ui/            pages
gunicorn_worker/  the worker of Gunicorn: connections, and waiting clients
"""
