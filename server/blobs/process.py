"""The process's blob store, by the settings."""

from functools import lru_cache

from server.blobs import BlobStore, open_store
from server.connections import client
from server.settings import settings


@lru_cache(maxsize=1)
def store() -> BlobStore:
    """The store that `BLOB_URL` names."""
    return open_store(settings().blob_url, client(), settings().max_blob_bytes)
