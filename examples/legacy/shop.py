"""A small shop, as many are: each request does all of its work, and slow ones end in a router's time-out.

`asynchronous.diff` in this folder makes it answer immediately.
"""

import os
import time

from flask import Flask, request, session

#: Seconds that the shop's database takes for a month of sales.
SECONDS_A_MONTH = float(os.environ.get("SECONDS_A_MONTH", "3"))

app = Flask(__name__)
app.secret_key = os.environ.get("SHOP_SECRET", "only for this example")


def sales(year: int, month: int) -> int:
    """Add up a month's sales, which takes time."""
    time.sleep(SECONDS_A_MONTH)
    return (year * 31 + month * 17) % 1000


def yearly_report(year: int) -> dict[str, object]:
    """Add up a year's sales."""
    months = [sales(year, month) for month in range(1, 13)]
    return {"year": year, "months": months, "total": sum(months)}


def count_words(text: bytes) -> dict[str, int]:
    """Count the words of a customer's letter."""
    time.sleep(SECONDS_A_MONTH)
    tokens = text.decode().split()
    return {word: tokens.count(word) for word in sorted(set(tokens))}


@app.post("/login")
def login() -> dict[str, str]:
    """Sign in; a real shop asks for a password."""
    session["user"] = request.form["user"]
    return {"user": session["user"]}


@app.post("/reports/<int:year>")
def make_report(year: int) -> dict[str, object]:
    """Answer with a year's report."""
    return yearly_report(year)


@app.post("/letters")
def read_letter() -> dict[str, int]:
    """Answer with the words of an uploaded letter."""
    return count_words(request.files["letter"].read())
