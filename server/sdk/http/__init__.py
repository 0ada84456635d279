"""Outgoing HTTP requests: webhooks, uploads by URL, feeds.

A client's URL may point to hosts that only the server can reach (SSRF). Therefore the address is checked at connection
time, not the name: DNS rebinding has no effect, and each redirect is a new connection that is checked again. Time and
bytes are limited for the whole exchange, even if a server sends slowly or compresses its response. Proxies from the
environment are not used, because they would connect without these checks.

urls.py         which URLs and addresses are accepted
connection.py   resolves names, checks addresses and connects, within one time limit
client.py       requests, redirects and responses
"""

from server.sdk.http.client import RequestLimits, Response, request
from server.sdk.http.urls import MAX_URL_LENGTH, FetchError, check_url

__all__ = ["MAX_URL_LENGTH", "FetchError", "RequestLimits", "Response", "check_url", "request"]
