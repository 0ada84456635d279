"""`coatcheck doctor`: check the settings, Redis and the blob store, and say in one sentence each what to change."""

import sys

from server.settings import Settings, SettingsError, load
from server.store import Store
from server.store.connection import UNREACHABLE, outage_reason
from server.store.connection.checks import Severity
from server.store.errors import BlobMissing, CoatcheckError


def run() -> int:
    """Print every finding; the exit code is 1 if the server cannot work as it is set up."""
    try:
        settings = load()
    except SettingsError as error:
        return _print([("error", str(error))])
    store = Store(settings)
    findings = [*_redis(store), *_settings(settings)]
    if not any(severity == "error" for severity, _ in findings):
        findings += [*_blobs(store), *_workers(store)]
    return _print(findings)


def _print(findings: list[tuple[str, str]]) -> int:
    for severity, text in findings:
        print(f"{severity}: {text}")
    if not findings:
        print("ok: Redis, files, keys and workers are fine.")
    sys.stdout.flush()
    return int(any(severity == "error" for severity, _ in findings))


def _redis(store: Store) -> list[tuple[str, str]]:
    try:
        findings = store.checks.findings()
    except UNREACHABLE as error:
        return [("error", outage_reason(error))]
    return [("warning" if each.severity is Severity.WARNING else "error", each.text) for each in findings]


def _settings(settings: Settings) -> list[tuple[str, str]]:
    if settings.secret_key:
        return []
    text = "SECRET_KEY is not set: if Redis is emptied, ids of expired tasks become unknown, and sessions end."
    return [("warning", text)]


def _blobs(store: Store) -> list[tuple[str, str]]:
    try:
        store.blobs.size("doctor/probe")
    except BlobMissing:
        return []
    except (CoatcheckError, *UNREACHABLE) as error:
        return [("error", f"The storage of files (BLOB_URL) cannot be used: {error}")]
    return []


def _workers(store: Store) -> list[tuple[str, str]]:
    findings = []
    if not store.leases.workers():
        findings.append(("warning", "No worker is running."))
    if not store.api_keys.any():
        findings.append(("warning", "No API key exists, so the server answers on loopback addresses only."))
    return findings
