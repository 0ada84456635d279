"""Tests against Valkey alone: see `store_fixtures`."""

from store_fixtures import store, valkey

__all__ = ["store", "valkey"]
