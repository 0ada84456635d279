"""The application below /jobs of a Flask application, as Flask's documentation combines two. The other answers 418."""

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from server.cli.entry import application as coatcheck

application = Flask(__name__)
application.wsgi_app = DispatcherMiddleware(application.wsgi_app, {"/jobs": coatcheck})  # type: ignore[method-assign]


@application.before_request
def teapot() -> tuple[str, int]:
    """Answer a request that is not for the task server."""
    return "another application", 418
