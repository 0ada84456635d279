"""`@task`: each supported type, and each unsupported one with its message."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from celery import Celery
from harness import ROOT
from pydantic import BaseModel, Field, SecretStr

from server.celery_app.app import register_tasks
from server.sdk import signature
from server.sdk.context import Context, Upload
from server.sdk.definition import Retries, TaskDefinition, TimeLimits
from server.sdk.registry import catalog, definition, task
from server.sdk.signature import Arity
from server.store.errors import CoatcheckError
from server.store.leases import Throttle


class Colour(Enum):
    """An enum."""

    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    """A model."""

    x: int
    y: float = 0


class Picture(BaseModel):
    """A model with a file in it."""

    file: Upload


class Plain:
    """A class without a schema."""


def define(function: Callable[..., Any], **options: Any) -> TaskDefinition:
    """Create a definition outside the catalog."""
    return TaskDefinition(
        **{
            "name": "made",
            "function": function,
            "signature": signature.read(function),
            "summary": "",
            "description": "",
            "limits": TimeLimits(1, 2),
            "retries": Retries(),
            "queue": "default",
            **options,
        }
    )


def accepting(annotation: Any) -> TaskDefinition:
    def function(value: Any) -> None: ...

    function.__annotations__["value"] = annotation
    return define(function)


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (str, ['"a"', '""'], ["1", "null"]),
        (int, ["1", "-1", "1.0", "1e2", "99999999999999999999"], ['"1"', "true", "1.5", "null"]),
        (float, ["1", "1.5", "-0.0"], ['"1"', "true", "NaN", "1e999", "-Infinity"]),
        (bool, ["true", "false"], ["1", '"true"']),
        (date, ['"2026-02-28"'], ['"2026-02-30"', '"today"', "20260228", '"2026-02-28T12:00:00Z"']),
        (datetime, ['"2026-02-28T12:00:00Z"', '"2026-02-28T12:00:00+01:00"'], ['"noon"', "1"]),
        (Colour, ['"red"'], ['"green"', '"RED"']),
        (Literal["a", 1], ['"a"', "1", "1.0"], ['"b"', "2", '"1"']),
        (list[int], ["[]", "[1, 2.0]"], ["1", '["1"]', "[null]"]),
        (dict[str, int], ["{}", '{"a": 1}'], ["[]", '{"a": "1"}']),
        (list, ["[]", '[1, "a", [null]]'], ["{}", "[1e999]"]),
        (dict[str, Any], ['{"a": [{"b": null}]}'], ["[]", '{"a": NaN}', '{"a": {"b": 1e999}}']),
        (Point, ['{"x": 1}', '{"x": 1.0, "y": 2}'], ['{"x": "1"}', "{}", '{"x": 1, "y": NaN}']),
        (list[Point], ['[{"x": 1}]'], ['{"x": 1}']),
        (int | None, ["1", "null"], ['"1"']),
        (int | str, ["1", '"1"'], ["null", "[]"]),
        (Annotated[int, Field(ge=1, le=10)], ["1", "10"], ["0", "11"]),
        (Annotated[str, Field(pattern="^a+$", max_length=3)], ['"aa"'], ['"b"', '"aaaa"']),
        (Annotated[list[int], Field(min_length=1)], ["[1]"], ["[]"]),
        (Decimal, ["1.5", '"1.5"'], ['"x"', "true"]),
        (Upload, ['{"data": "aGk="}', '{"data": "", "filename": "a"}'], ['"aGk="', "{}", "null", '{"data": "#"}']),
        (Upload | None, ['{"data": "aGk="}', "null"], ["1"]),
        (list[Upload], ["[]", '[{"data": "aGk="}]'], ['{"data": "aGk="}', '[{"data": 1}]']),
    ],
    ids=str,
)
def test_a_type_accepts_what_its_schema_allows(annotation: Any, good: list[str], bad: list[str]) -> None:
    task_type = accepting(annotation)
    for text in good:
        assert task_type.validate_json(b'{"value": %s}' % text.encode())
    for text in bad:
        with pytest.raises(CoatcheckError) as refused:
            task_type.validate_json(b'{"value": %s}' % text.encode())
        assert refused.value.name in ("invalid-input", "malformed-body")
    with pytest.raises(CoatcheckError, match="value"):
        task_type.validate_json(b"{}")
    assert task_type.input_schema["required"] == ["value"]


def untyped(value): ...  # type: ignore[no-untyped-def]
def any_number(*values: int) -> None: ...
def any_names(**values: int) -> None: ...
def positional(value: int, /) -> None: ...
def two_contexts(ctx: Context, value: Context) -> None: ...
def wrong_default(value: int = "a") -> None: ...  # type: ignore[assignment]
def none_default(value: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013
def out_of_bounds(value: Annotated[int, Field(ge=1)] = 0) -> None: ...
def wait(wait: int) -> None: ...
def returns_a_class() -> Plain: ...  # type: ignore[empty-body]
def yields_a_list(value: int) -> list[int]:  # type: ignore[misc]
    yield value


def unknown_name(value: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (untyped, "the parameter 'value' has no type; supported types: str, int"),
        (any_number, "the parameter 'values' accepts any number of values"),
        (any_names, "the parameter 'values' accepts any number of values"),
        (positional, "the parameter 'value' is positional-only"),
        (two_contexts, "the parameter 'value' is a second Context"),
        (wrong_default, "the default of the parameter 'value' does not match its type"),
        (none_default, "the default of the parameter 'value' does not match its type"),
        (out_of_bounds, "the default of the parameter 'value' does not match its type"),
        (wait, "the parameter name 'wait' is reserved"),
        (returns_a_class, "the return type cannot be represented in JSON"),
        (yields_a_list, "it yields, so its return type must be Iterator"),
        (Plain, "a task must be a function, not a class"),
        (partial(any_number, 1), "a task must be a function, not a class"),
        (unknown_name, "an annotation uses 'Nowhere'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_unsuitable_function_is_refused_with_a_message(function: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        task(name="refused")(function)
    assert "refused" not in [each.name for each in catalog()]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (Any, "the parameter 'value' has no type"),
        (object, "the parameter 'value' has no type"),
        (Plain, "the parameter 'value' has an unsupported type"),
        (Callable[[], int], "the parameter 'value' has an unsupported type"),
        (type[int], "the parameter 'value' has an unsupported type"),
        (Iterable[int], "the parameter 'value' has an unsupported type"),  # its items would not be validated
        (list[Iterable[int]], "the parameter 'value' has an unsupported type"),
        (Context | None, "the parameter 'value' has an unsupported type"),
        (bytes, "the parameter 'value' is bytes; use Upload for files"),
        (list[bytes], "the parameter 'value' contains bytes"),
        (Picture, "the parameter 'value' contains an Upload"),
        (dict[str, Upload], "the parameter 'value' contains an Upload"),
        (Upload | str, "the parameter 'value' contains an Upload"),
    ],
    ids=str,
)
def test_the_error_for_an_unsupported_type_names_the_parameter(annotation: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        accepting(annotation)


@pytest.mark.parametrize("name", sorted(signature.RESERVED))
def test_the_names_of_options_are_reserved(name: str) -> None:
    def function(value: int) -> None: ...

    scope: dict[str, Any] = {}
    exec(f"def function({name}: int) -> None: ...", scope)  # the test is about the name
    with pytest.raises(TypeError, match=f"{name!r} is reserved"):
        define(scope["function"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "Hello World"}, "name must consist of"),
        ({"name": ""}, "name must consist of"),
        ({"name": "celery.chord"}, "name must not begin with"),
        ({"limits": TimeLimits(2, 1)}, "soft_time_limit must be above 0 and below time_limit"),
        ({"limits": TimeLimits(0, 1)}, "soft_time_limit"),
        ({"retries": Retries(-1)}, "retries must be 0 or more"),
        ({"retries": Retries(1, backoff=0)}, "retry_backoff must be above 0"),
        ({"queue": "a b"}, "queue must consist of"),
        ({"accepts": "image/*"}, "accepts must be a tuple"),
        ({"accepts": ("image",)}, "accepts must be a tuple"),
        ({"unique": "value"}, "unique must be a tuple of parameters"),
        ({"unique": ("other",)}, "unique must be a tuple of parameters"),
        ({"throttle": Throttle(max_running=1, by="other")}, "limit_by must be the name of a parameter"),
        ({"max_upload_bytes": 0}, "max_upload_bytes must be above 0"),
    ],
    ids=str,
)
def test_the_error_for_an_invalid_option_names_it(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        define(positional_free, **options)


def positional_free(value: int = 1) -> int:
    """A valid function."""
    return value


def test_a_unique_key_cannot_use_uploads_secrets_or_sets() -> None:
    def function(file: Upload, secret: SecretStr, some: set[str], other: list[int], when: date) -> None: ...

    assert define(function, unique=("other", "when")).unique == ("other", "when")
    for name in ("file", "secret", "some"):
        with pytest.raises(ValueError, match="without uploads, secrets and sets"):
            define(function, unique=("other", name))
        with pytest.raises(ValueError, match="not an upload, a secret or a set"):
            define(function, throttle=Throttle(per_minute=1, by=name))


def scope(throttle: Throttle, text: bytes, owner: str = "alice") -> str:
    """The scope under which a limit counts an input."""

    def function(value: dict[str, int | str] | float = 1.0) -> None: ...

    task_type = define(function, throttle=throttle)
    return task_type.limit_scope(task_type.validate_json(text), owner)


def test_a_limit_counts_equal_values_together() -> None:
    by_value = Throttle(max_running=1, by="value")
    assert scope(by_value, b'{"value": {"a": 1, "b": 2}}') == scope(by_value, b'{"value": {"b": 2, "a": 1}}')
    assert scope(by_value, b"{}") == scope(by_value, b'{"value": 1}') == scope(by_value, b"{}", "bob") == "=[1.0]"
    long = [scope(by_value, b'{"value": {"a": "%s"}}' % (letter * 10_000)) for letter in (b"x", b"y")]
    assert long[0] != long[1]
    assert len(long[0]) < 30
    of_each_owner = Throttle(max_running=1, by="value", per_owner=True)
    assert scope(of_each_owner, b"{}") != scope(of_each_owner, b"{}", "bob")
    assert scope(Throttle(by="value"), b"{}") == "", "there is no limit"


def test_a_name_can_be_registered_once() -> None:
    task(name="taken.once")(positional_free)
    with pytest.raises(ValueError, match="already"):
        task(name="taken.once")(positional_free)


def test_input_that_a_check_refuses_is_invalid() -> None:
    def ordered(low: int, high: int, **_: object) -> None:
        if low > high:
            raise ValueError("`low` is above `high`")

    def between(ctx: Context, low: int, high: int = 9, unit: str = "") -> int:
        return high - low

    task_type = define(between, signature=signature.read(between, ordered))
    assert task_type.signature.arguments(task_type.validate_json(b'{"low": 9}')) == {"low": 9, "high": 9, "unit": ""}
    for refused in (lambda: task_type.validate_json(b'{"low": 10}'), lambda: task_type.validate_fields({"low": "10"})):
        with pytest.raises(CoatcheckError) as caught:
            refused()
        assert caught.value.name == "invalid-input"
        assert caught.value.detail == "`low` is above `high`."
        assert caught.value.extra["errors"] == [{"loc": [], "msg": "`low` is above `high`"}]


def test_the_decorated_function_is_unchanged() -> None:
    @task(name="stays.callable", soft_time_limit=5, time_limit=6, retries=2, queue="slow")
    def add(x: int, y: int = 2) -> int:
        """Add.

        In more words.
        """
        return x + y

    assert add(1) == add(1, y=2) == 3
    task_type = definition("stays.callable")
    assert (task_type.summary, task_type.description.splitlines()[-1]) == ("Add.", "In more words.")
    assert (task_type.limits, task_type.retries.max_retries, task_type.queue) == (TimeLimits(5, 6), 2, "slow")


def test_a_task_type_becomes_a_celery_task_with_late_acks() -> None:
    task(name="celery-task.1")(positional_free)
    app = Celery("alone", set_as_current=False)
    app.config_from_object({"broker_url": "memory://"})
    register_tasks(app)

    celery_task = app.tasks["celery-task.1"]
    assert (celery_task.acks_late, celery_task.track_started, celery_task.soft_time_limit, celery_task.time_limit) == (
        True,
        True,
        300,
        330,
    )


def test_a_raw_body_goes_to_the_only_upload_or_the_only_required_one() -> None:
    def one(file: Upload, x: int = 1) -> None: ...
    def many(files: list[Upload]) -> None: ...
    def optional(file: Upload | None = None) -> None: ...
    def needed(image: Upload, overlay: Upload | None = None) -> None: ...
    def two(a: Upload, b: Upload) -> None: ...
    def neither(a: Upload | None = None, b: Upload | None = None) -> None: ...
    def none(x: int) -> None: ...

    names = [define(each).single_upload for each in (one, many, optional, needed, two, neither, none)]
    assert names == ["file", "files", "file", "image", None, None, None]
    assert define(needed).uploads == {"image": Arity.ONE, "overlay": Arity.ONE}
    assert define(many).uploads == {"files": Arity.MANY}


def test_waits_between_attempts_double_up_to_a_maximum() -> None:
    retries = Retries(20, backoff=2)
    for tried, maximum in ((0, 2), (1, 4), (3, 16), (19, 600)):
        assert all(maximum / 2 <= retries.wait(tried) <= maximum for _ in range(50))


def test_the_error_for_an_unknown_task_type_lists_the_known_ones() -> None:
    with pytest.raises(CoatcheckError) as refused:
        definition("no-such-kind")
    assert refused.value.name == "unknown-task-type"


def test_input_is_stored_as_it_was_sent() -> None:
    parameters = define(lambda_free).validate_json(b'{"colour": "red", "day": "2026-02-28", "points": [{"x": 1.0}]}')

    text = parameters.model_dump_json(by_alias=True, exclude_unset=True)

    assert text == '{"colour":"red","day":"2026-02-28","points":[{"x":1}]}'
    again = signature.read(lambda_free).model.model_validate_json(text)
    assert signature.read(lambda_free).arguments(again)["points"] == [Point(x=1)]


def lambda_free(colour: Colour, day: date, points: list[Point], copy: int = 1, schema: str = "") -> None:
    """A parameter with the name of a pydantic method."""


def run(code: str, folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{ROOT}:{folder}", "REDIS_URL": "redis://127.0.0.1:1/0", "PATH": "", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_task_modules_are_loaded_and_the_error_names_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from server.sdk.registry import task\n@task()\ndef hello(name: str) -> str:\n    return name\n"
    )
    code = (
        "from server import tasks; from server.sdk import registry; from server.settings import Settings; "
        "tasks.load(Settings(redis_url='redis://unused')); print(*[each.name for each in registry.catalog()])"
    )

    good = run(code, tmp_path, TASK_MODULES="mine")
    bad = run(code, tmp_path, TASK_MODULES="mine, not_there")

    assert "hello" in good.stdout.split()
    assert "TASK_MODULES: there is no module 'not_there'" in bad.stderr


def test_every_included_task_is_a_plain_function() -> None:
    functions = [each.function for each in catalog() if each.function.__module__.startswith("server.")]

    assert not [each for each in functions if asyncio.iscoroutinefunction(each)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import json\n\njson.loads('{')\n", "JSONDecodeError: Expecting property name"),
        ("import json\n\ndef broken(:\n", "SyntaxError: invalid syntax"),
        ("from server import task\n\n@task\ndef t(x): ...\n", "TypeError: broken.t: the parameter 'x' has no type"),
    ],
)
def test_the_error_for_a_module_that_cannot_be_imported_has_file_and_line(
    tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "broken.py").write_text(text)
    code = "from server.cli.entry import celery"

    ended = run(code, tmp_path, TASK_MODULES="broken")

    assert ended.returncode == 3
    assert ended.stderr.startswith(f"coatcheck: TASK_MODULES: broken: {sentence}")
    assert f"({tmp_path / 'broken.py'}, line 3)" in ended.stderr
    assert ended.stderr.count("\n") == 1


def some_numbers(value: int) -> Iterator[int]:
    yield value


async def async_strings() -> AsyncIterator[str]:
    yield "word"


def numbers_and_a_sum() -> Generator[int, None, float]:
    yield 1
    return 1.0


def anything():  # type: ignore[no-untyped-def]
    yield 1


@pytest.mark.parametrize(
    ("function", "yields", "returns"),
    [
        (some_numbers, int, None),
        (async_strings, str, None),
        (numbers_and_a_sum, int, float),
        (anything, Any, Any),
        (lambda: [], None, Any),
    ],
)
def test_a_generator_function_has_the_types_of_its_items_and_result(function: Any, yields: Any, returns: Any) -> None:
    read = signature.read(function)

    assert (read.yields, read.returns) == (yields, returns)
