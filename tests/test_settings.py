"""Code, docs/settings.md and `.env.example` agree; an invalid setting stops each process with one message."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import PROCFILE, ROOT, Service, free_port
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import server.logs.telemetry  # noqa: F401  its settings are those of no task
from server import tasks
from server.settings import Settings, SettingsError, TaskSettings, load, load_parts


def fields() -> dict[str, FieldInfo]:
    """Every setting, those of the tasks last."""
    tasks.load(Settings(redis_url="redis://unused"))
    parts = [part for part in TaskSettings.__subclasses__() if part.__module__.startswith("server.")]
    parts.sort(key=lambda part: part.__module__)
    return {name: field for part in (Settings, *parts) for name, field in part.model_fields.items()}


def default_of(field: FieldInfo) -> str:
    """The default as it is written in an environment."""
    value = field.default
    if value is PydanticUndefined or value in ("", (), None):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def table() -> list[str]:
    """The expected lines of the table in docs/settings.md."""
    rows = []
    for name, field in fields().items():
        default = f"`{default_of(field)}`" if default_of(field) else ""
        rows.append(f"| `{name.upper()}` | {default} | {field.description} |".replace("|  |", "| |"))
    return rows


def example() -> list[str]:
    """The expected lines of `.env.example`: for each setting a comment, and its line commented out."""
    lines = []
    for name, field in fields().items():
        lines += [f"# {field.description}", f"#{name.upper()}={default_of(field)}"]
    return lines


def test_the_docs_have_every_setting_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text().splitlines()
    documented = [line for line in page if re.match(r"\| `[A-Z_]+` \|", line)]

    assert documented == table(), "docs/settings.md must have these lines:\n" + "\n".join(table())


def test_the_example_has_every_setting_with_its_default() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith("##")]

    assert listed == example(), ".env.example must have these lines:\n" + "\n".join(example())


def test_every_setting_has_a_description() -> None:
    for name, field in fields().items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_only_the_settings_read_the_environment() -> None:
    files = [*(ROOT / "server").rglob("*.py"), *ROOT.glob("*.py")]
    readers = [
        # SCRIPT_NAME is read by every WSGI server, Gunicorn's own workers included: it is not a setting of ours.
        str(path.relative_to(ROOT))
        for path in files
        if re.search(r"os\.environ(\[|\.(?!get\(.SCRIPT_NAME))|getenv\(", path.read_text())
    ]

    # The runner prepares the environment of its processes.
    assert [each for each in readers if not each.startswith("server/cli/")] == []


WRONG = [
    ("PORT", "eighty"),
    ("PORT", "0"),
    ("WEB_THREADS", "0"),
    ("WORKER_CONCURRENCY", "many"),
    ("REDIS_URL", "http://localhost"),
    ("REDIS_URL", ""),
    ("REDIS_URL", "redis://host:port/0"),
    ("REDIS_URL", "redis://:trout/pike@host:6379/0"),
    ("REDIS_URL", "redis://host:6379/first"),
    ("REDIS_URL", "redis://host:6379/0?socket_timeout=abc"),
    ("REDIS_URL", "redis://host:6379/0?ssl_cert_reqs=none"),
    ("REDIS_URL", "rediss://host:6379/0?ssl_cert_reqs=never"),
    ("REDIS_URL", "rediss://host:6379/0?client_name=shop"),
    ("REDIS_URL", "sentinel://one:26379;sentinel://two:port/mymaster/0"),
    ("BLOB_URL", "ftp://x"),
    ("BLOB_URL", "file://folder/x"),
    ("BLOB_URL", "s3://"),
    ("BLOB_URL", "s3://key@bucket"),
    ("RESULT_TTL_SECONDS", "9999999999999"),
    ("ADMIN_KEY", "a key that ends with a line break\n"),
    ("ADMIN_KEY", "ä" * 20),
    ("CELERY_BROKER_URL", "kafka://x"),
    ("LOG_LEVEL", "LOUD"),
    ("MAX_UPLOAD_BYTES", "-1"),
    ("REDIS_TLS_VERIFY", "perhaps"),
    ("PUBLIC_URL", "example.org/jobs"),
    ("TRUSTED_PROXIES", "127.0.0.1,nobody"),
    ("AUTH_PROXY_ADDRESSES", "nobody"),
    ("AUTH_PROXY_ADDRESSES", "*"),
    ("CORS_ORIGINS", "https://one.example,https://two.example/path"),
    ("CORS_ORIGINS", "*"),
]

RIGHT = [
    ("REDIS_URL", "redis://:a;b@host:6379/0"),
    ("REDIS_URL", "rediss://me:a%2Fb@host:6379"),
    ("REDIS_URL", "rediss://me:secret@host:6379/0?ssl_cert_reqs=none&ssl_ca_certs=/etc/ssl/redis.pem"),
    ("REDIS_URL", "sentinel://:secret@one:26379;sentinel://two:26379/mymaster/0"),
    ("BLOB_URL", "file:///srv/files"),
    ("BLOB_URL", "file:/srv/files"),
    ("BLOB_URL", "s3://bucket"),
    ("BLOB_URL", "s3://bucket/a/prefix"),
    ("CELERY_BROKER_URL", "amqp://me:a%2Fb@host:5672/"),
    ("CORS_ORIGINS", "https://one.example,http://localhost:8080"),
    ("AUTH_PROXY_ADDRESSES", "10.0.0.0/8,::1"),
    ("TRUSTED_PROXIES", "*"),
]

COMMANDS = {
    "web": shlex.split(PROCFILE["web"]),
    "worker": shlex.split(PROCFILE["worker"]),
    "runner": [sys.executable, "-m", "server.cli", "run"],
    "keys": [sys.executable, "-m", "server.cli", "keys", "list"],
}


def refusal(service: Service, process: str, folder: Path, **env: str) -> str:
    """The message of a process that must not start."""
    done = subprocess.run(
        COMMANDS[process],
        env=service.env | {"PORT": str(free_port())} | env,
        cwd=ROOT if process in ("web", "worker") else folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name}={value}" for name, value in WRONG])
def test_the_error_names_an_invalid_setting(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as refused:
        load()

    assert str(refused.value).startswith(f"{name}: ")
    assert "trout" not in str(refused.value)


@pytest.mark.parametrize(("name", "value"), RIGHT, ids=[f"{name}={value}" for name, value in RIGHT])
def test_a_valid_setting_is_accepted(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv(name, value)

    loaded = getattr(load(), name.lower())
    assert (",".join(loaded) if isinstance(loaded, tuple) else loaded) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_URL", "smtp://host:port"),
        ("SMTP_URL", "smtp://me:trout/pike@host:587"),
        ("SMTP_CA_FILE", "/nowhere/ca.pem"),
        ("SMTP_CA_FILE", __file__),
        ("MAIL_FROM", "nobody"),
        ("SENTRY_DSN", "https://sentry.example/trout"),
        ("DATABASE_URL", "postgresql://me:trout/pike@host/name"),
    ],
)
def test_the_error_names_an_invalid_setting_of_a_task(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert name in map(str.upper, fields())  # its package is loaded
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as refused:
        load_parts(Settings(redis_url="redis://127.0.0.1:1/0"))

    assert str(refused.value).startswith(f"{name}: ")
    assert "trout" not in str(refused.value)


@pytest.mark.parametrize("process", ["web", "worker", "runner", "keys"])
def test_an_invalid_setting_stops_each_process_with_one_message(service: Service, tmp_path: Path, process: str) -> None:
    (tmp_path / "Procfile").write_text("web: true\n")

    message = refusal(service, process, tmp_path, WEB_THREADS="none", LOG_LEVEL="LOUD")

    assert "WEB_THREADS: Input should be a valid integer" in message
    assert "LOG_LEVEL: Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'" in message
    assert message.count("\n") == 1
    assert "BLOB_URL" not in message  # its default is computed from other settings
    assert "MAX_BYTES_PER_OWNER" not in message


@pytest.mark.parametrize("process", ["web", "worker"])
def test_an_invalid_setting_of_a_task_stops_each_process(service: Service, tmp_path: Path, process: str) -> None:
    message = refusal(service, process, tmp_path, SMTP_URL="http://me:swordfish@host", DATABASE_URL="")

    assert "coatcheck: SMTP_URL: must be smtp://" in message
    assert "swordfish" not in message


@pytest.mark.slow
@pytest.mark.parametrize("process", ["web", "worker"])
def test_a_missing_task_module_stops_each_process(service: Service, tmp_path: Path, process: str) -> None:
    message = refusal(service, process, tmp_path, TASK_MODULES="sample_tasks,not_there")

    assert "coatcheck: TASK_MODULES: there is no module 'not_there'" in message


def test_a_secret_is_never_quoted(service: Service, tmp_path: Path) -> None:
    secrets: dict[str, Any] = {
        "REDIS_URL": "http://me:swordfish@host",
        "CELERY_BROKER_URL": "kafka://me:swordfish@host",
        "BLOB_URL": "ftp://me:swordfish@host",
    }

    message = refusal(service, "keys", tmp_path, **secrets)

    assert all(f"{name}: " in message for name in secrets)
    assert "swordfish" not in message
    assert "swordfish" not in repr(Settings(redis_url="redis://me:swordfish@host/0", secret_key="swordfish"))


def test_the_files_of_make_run_are_in_a_folder_next_to_its_valkey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var/redis-url").write_text("redis://127.0.0.1:1/0\n")
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_URL", "BLOB_URL"):
        monkeypatch.delenv(name, raising=False)

    assert load().blob_url == (tmp_path / "var/files").as_uri()
    assert Settings(redis_url="redis://elsewhere:6379/0").blob_url == "", "web and worker may share no disk"
    assert Settings(blob_url="redis:").blob_url == "redis:"
