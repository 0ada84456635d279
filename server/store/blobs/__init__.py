"""Storage for the bytes of uploads and output files: in Redis, in a folder, or in an S3-compatible object store."""

from urllib.parse import unquote, urlsplit

import redis as redis_py

from server.store.blobs.base import BlobStore, BlobWriter
from server.store.blobs.folder_blobs import FolderBlobs
from server.store.blobs.object_blobs import ObjectBlobs
from server.store.blobs.redis_blobs import RedisBlobs
from server.store.keys import Keys

__all__ = ["BlobStore", "BlobWriter", "FolderBlobs", "ObjectBlobs", "RedisBlobs", "open_store"]


def open_store(url: str, redis: redis_py.Redis, keys: Keys, max_bytes: int | None = None) -> BlobStore:
    """Create the store for BLOB_URL. It connects at the first use.

    `redis` is the client of the Redis backend, with decode_responses off. `max_bytes` limits the sum of all blobs
    there; a folder and an object store have their own limits, so it does not apply to them.

    Raises:
        ValueError: the URL has none of the three forms.
    """
    if url in ("", "redis:"):
        return RedisBlobs(redis, keys, max_bytes)
    parts = urlsplit(url)
    plain = not (parts.query or parts.fragment)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/") and plain:
        return FolderBlobs(unquote(parts.path))
    if parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc and plain:
        return ObjectBlobs(parts.netloc, unquote(parts.path).strip("/"))
    # The URL is not repeated, because it may contain credentials.
    raise ValueError(
        "BLOB_URL takes 'redis:' (or nothing) for the Redis of REDIS_URL, 'file:///absolute/path' for a folder, "
        "or 's3://bucket/prefix' for an S3-compatible store, whose credentials, endpoint and region come from AWS_*."
    )
