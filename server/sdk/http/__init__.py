"""The one way in which this server calls others: webhooks, uploads by URL, feeds.

A URL that a client gives may lead to what only the server can reach (SSRF). So the address is checked that is
connected to, not the name: a name that answers differently the second time (DNS rebinding) wins nothing, and each
redirect is a new connection that is checked again. Time and bytes are bounded over the whole exchange, however
slowly a server drips and however small it has compressed its answer. Proxies of the environment are not used: they
would connect for us, unchecked.

urls.py         which URLs and addresses are taken
connection.py   looks up, checks, connects; one clock for all of it
client.py       a request, its redirects, its answer
"""

from server.sdk.http.client import Answer, Limits, request
from server.sdk.http.urls import MAX_URL_LENGTH, FetchError, check_url

__all__ = ["MAX_URL_LENGTH", "Answer", "FetchError", "Limits", "check_url", "request"]
