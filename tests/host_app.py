"""A Flask application with its own login, into which the extension puts the server."""

import os

from flask import Flask, g, redirect, session
from werkzeug.wrappers import Response

from server import Coatcheck, submit

app = Flask(__name__)
app.secret_key = "of the shop"
app.config["COATCHECK_REDIS_URL"] = os.environ["SHOP_REDIS"]
app.config["COATCHECK_TASK_MODULES"] = "sample_tasks"


class User:
    """As Flask-Login's: an anonymous user has no `id`."""

    def __init__(self, name: str | None) -> None:
        if name:
            self.id = name


@app.before_request
def load_user() -> None:
    """Load the user as applications do: before each request, of all blueprints."""
    g.user = User(session.get("user"))


@app.post("/login/<name>")
def login(name: str) -> Response:
    """Sign in without a password."""
    session["user"] = name
    return redirect("/")


@app.post("/halves/<int:number>")
def halve(number: int) -> dict[str, str]:
    """Submit a task from a view."""
    return {"id": submit("divide", x=number, y=2, owner=g.user.id).id}


Coatcheck(app, url_prefix="/jobs", owner=lambda: g.user.id, is_admin=lambda: g.user.id == "root")
