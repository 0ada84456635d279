"""`server.testing` runs a task as a worker does, without Redis."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from server import Canceled, Context, OutputFile, TaskError, Upload, task
from server.sdk.errors import InvalidInput
from server.services.status import Progress
from server.testing import run, upload


@task(name="testing_shout")
def shout(ctx: Context, file: Upload, times: int = 1, day: date | None = None) -> dict[str, OutputFile | str]:
    """Convert a text to upper case."""
    ctx.log(f"{file.filename}: {file.media_type}")
    for number in range(times):
        ctx.progress(number + 1, times)
    ctx.checkpoint("times", str(times))
    with file.open() as opened:
        loud = opened.read().upper() * times
    return {"file": ctx.save("loud.txt", loud, "text/plain"), "day": repr(day)}


@task(name="testing_attempt")
def attempt(ctx: Context, files: list[Upload]) -> list[str]:
    """Fail once; then return the first attempt's checkpoint."""
    if not ctx.retries:
        raise TaskError("not-yet", "Try again.")
    return [ctx.checkpoints()["noted"], ctx.owner, str(ctx.settings.lease_seconds), *(file.filename for file in files)]


def test_a_task_can_be_tested_in_three_lines() -> None:
    done = run(shout, file=b"hello", times=2)

    assert done.files["loud.txt"] == b"HELLOHELLO"
    assert done.result["file"]["bytes"] == 10
    assert [report["percent"] for report in done.progress] == [50, 100]
    assert done.checkpoints == {"times": "2"}


def test_parameters_are_validated_and_converted() -> None:
    assert run(shout, file=b"", day=date(2026, 1, 2)).result["day"] == "datetime.date(2026, 1, 2)"
    with pytest.raises(InvalidInput, match="times"):
        run(shout, file=b"", times="many")
    with pytest.raises(InvalidInput, match="file"):
        run(shout)


def test_uploads_have_names_and_types(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b")

    assert run(shout, file=tmp_path / "a.csv").logs == ["a.csv: text/csv"]
    assert run(shout, file=upload(b"x", "b.bin", "image/png")).logs == ["b.bin: image/png"]


def test_a_second_attempt_reads_checkpoints_and_settings() -> None:
    with pytest.raises(TaskError, match="not-yet"):
        run(attempt, files=[])

    again = run(
        attempt,
        files=[upload(b"1", "one"), b"2"],
        retries=1,
        owner="alice",
        checkpoints={"noted": "first"},
        settings={"lease_seconds": 7},
    )

    assert again.result == ["first", "alice", "7", "one", "upload"]


def test_a_canceled_task_stops_at_its_next_report() -> None:
    with pytest.raises(Canceled):
        run(shout, file=b"hello", canceled=True)


def test_a_function_that_is_not_a_task_is_refused() -> None:
    with pytest.raises(ValueError, match="register it with @task"):
        run(len)


@task(name="testing_reports")
def reports(ctx: Context) -> None:
    """Report numbers and texts that a status cannot show as they are."""
    ctx.report_every = 0
    ctx.progress(-5, 10, "before the start")
    ctx.progress(1, float("inf"), "no end in sight")
    ctx.progress(float("nan"), 10)
    ctx.progress(1e308, 1e-300)
    ctx.progress(1, 3, "caf\udce9.txt")
    ctx.progress(1, 3, Path("cafe.txt"))  # type: ignore[arg-type]
    ctx.progress(1, 3, "x" * 10_000)
    ctx.log("caf\udce9.txt")


def test_every_progress_report_can_be_shown() -> None:
    done = run(reports)

    shown = [Progress.model_validate(report) for report in done.progress]
    assert all(json.loads(each.as_json()) == report for each, report in zip(shown, done.progress, strict=True))
    assert [each.percent for each in shown] == [0, 0, 0, 100, 33, 33, 33]
    assert [each.message for each in shown[-3:]] == ["caf\\udce9.txt", "cafe.txt", "x" * 1_000]
    assert done.logs == ["caf\\udce9.txt"]


@task(name="testing_parent")
def parent(ctx: Context, number: int) -> list[str]:
    """Submit other tasks."""
    return [ctx.submit("divide", x=number, y=2), *ctx.submit_many([("divide", {"x": 1, "y": 1, "delay": 5})])]


def test_the_submits_of_a_task_are_recorded() -> None:
    done = run(parent, number=3)

    assert done.submitted == [("divide", {"x": 3, "y": 2}), ("divide", {"x": 1, "y": 1, "delay": 5})]
    assert len(set(done.result)) == 2


@task(name="testing_number")
def a_number(text: str) -> float:
    """Return a text as the number that it declares."""
    return float(text) if text in ("5", "nan") else text  # type: ignore[return-value]


def test_a_result_is_checked_and_converted_as_in_a_worker() -> None:
    assert run(a_number, text="5").result == run(a_number, text="5.0").result == 5.0
    for text in ("nan", "many"):
        with pytest.raises(TaskError, match="invalid-result: The function's result does not fit"):
            run(a_number, text=text)


@task
def bare_task(number: int) -> int:
    """A task without options."""
    return number + 1


def test_a_decorator_without_parentheses_works() -> None:
    assert run(bare_task, number=1).result == bare_task(1) == 2


@task(name="testing_async")
async def awaits(ctx: Context, seconds: float) -> str:
    """Wait in an event loop."""
    await asyncio.sleep(seconds)
    ctx.progress(1, 1)
    return await asyncio.wait_for(asyncio.sleep(0, "waited"), 1)


def test_an_async_function_runs() -> None:
    assert run(awaits, seconds=0.01).result == "waited"


def test_an_async_function_runs_in_a_test_that_has_an_event_loop() -> None:
    async def with_a_loop() -> object:
        return run(awaits, seconds=0.01).result

    with ThreadPoolExecutor(1) as thread:  # Playwright may have a loop in this one
        assert thread.submit(asyncio.run, with_a_loop()).result() == "waited"
