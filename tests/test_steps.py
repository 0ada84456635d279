"""`ctx.step` stores what a function returned, so that an attempt after a crash continues after it."""

from datetime import date
from functools import partial
from typing import Any

import pytest
from harness import Service, eventually
from pydantic import BaseModel
from sample_tasks import LEDGER, in_async_steps, in_steps

from server import Context, TaskError, task
from server.testing import run

STEPS = ["step-1", "step-2", "step-3"]


def ran(service: Service, task_id: str) -> list[str]:
    """The functions of the task that were called, in order."""
    lines = [line.decode().split() for line in service.redis.client.lrange(LEDGER, 0, -1)]
    return [word for one, word, *_ in lines if one == task_id and word.startswith("step-")]


def reaches(service: Service, task_id: str, word: str) -> None:
    eventually(lambda: any(word.encode() in line for line in service.redis.client.lrange(LEDGER, 0, -1)))


@pytest.mark.slow
def test_the_attempt_after_a_killed_worker_continues_after_the_last_step(fresh: Service) -> None:
    fresh.start()
    task_id = fresh.submit("in_steps", end="waits")
    reaches(fresh, task_id, "between")

    fresh.workers[0].kill()
    fresh.start_worker()
    result = fresh.result(task_id)

    assert ran(fresh, task_id) == STEPS
    assert len(set(result)) == 3
    assert fresh.status(task_id)["deliveries"] == 2


@pytest.mark.parametrize("end", ["dies", "fails"])
def test_no_step_runs_twice_after_a_dead_child_or_an_automatic_retry(service: Service, end: str) -> None:
    task_id = service.submit("in_steps", end=end)

    assert len(set(service.result(task_id))) == 3
    assert ran(service, task_id) == STEPS


def test_steps_of_an_async_task_are_awaited(service: Service) -> None:
    task_id = service.submit("in_async_steps", end="fails")

    assert len(set(service.result(task_id))) == 3
    assert sorted(ran(service, task_id)) == STEPS


def test_a_retry_by_a_client_starts_over(service: Service) -> None:
    task_id = service.submit("in_steps")
    first = service.result(task_id)

    again = service.http.post(f"/tasks/{task_id}/retry").json()["task_id"]

    assert not set(first) & set(service.result(again))
    assert ran(service, again) == STEPS


class Page(BaseModel):
    """A value of a step."""

    number: int
    day: date


calls: list[str] = []


def page(number: int) -> Page:
    calls.append("page")
    return Page(number=number, day=date(2026, 1, number))


def days(pages: list[Page]) -> dict[date, int]:
    calls.append("days")
    return {each.day: each.number for each in pages}


@task(name="typed_steps")
def typed_steps(ctx: Context) -> list[str]:
    """Use the values of steps by their types."""
    first = ctx.step("first", page, 1)
    second = ctx.step("second", partial(page, number=2))
    dates = ctx.step("days", days, [first, second])
    pair = ctx.step("pair", lambda: (first.number, None))
    return [*(f"{day:%d.%m.}" for day in dates), repr(pair)]


def test_the_value_of_a_step_has_its_declared_type_in_every_attempt() -> None:
    calls.clear()
    first = run(typed_steps)
    again = run(typed_steps, steps=first.steps)

    assert first.result == again.result == ["01.01.", "02.01.", "[1, None]"]
    assert first.steps["first"] == {"number": 1, "day": "2026-01-01"}
    assert first.checkpoints == {}
    assert calls == ["page", "page", "days"]


@pytest.mark.slow
def test_a_test_gives_the_steps_of_an_earlier_attempt() -> None:
    steps = {"number 1": "0" * 32, "number 2": "1" * 32, "number 3": "2" * 32}

    assert run(in_steps, steps=steps).result == list(steps.values())
    assert run(in_async_steps, steps=steps).result == list(steps.values())


def untyped(value: Any) -> Any:
    return value


def wrong() -> int:
    return "many"  # type: ignore[return-value]


def socket_of() -> memoryview:
    return memoryview(b"")


@task(name="one_step")
def one_step(ctx: Context, case: str) -> Any:
    """Take one step that is refused, or two with one name."""
    match case:
        case "twice":
            return [ctx.step("a", untyped, n) for n in (1, 2)]
        case "large":
            return ctx.step("a", untyped, "x" * 5_000_000)
        case "many":
            return [len(ctx.step(f"part {n}", untyped, "x" * 1_000_000)) for n in range(5)]
        case "wrong":
            return ctx.step("a", wrong)
        case "no JSON":
            return ctx.step("a", untyped, object())
        case "type":
            return ctx.step("a", socket_of)
        case "lambda":
            return ctx.step("a", lambda: late(1))
    return ctx.step("a", lambda: [n / 2 for n in range(3)])


async def late(number: int) -> int:
    return number


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("twice", "The step 'a' has ended already in this attempt"),
        ("large", "The result of the step 'a' has 5000002 bytes; the limit is 4194304"),
        ("many", "With the step 'part 4', the steps returned 5000010 bytes; the limit is 4194304"),
        ("wrong", "The result of the step 'a' does not fit its declared type"),
        ("no JSON", "The result of the step 'a' does not fit JSON"),
        ("type", "step 'a': its return type cannot be stored as JSON"),
        ("lambda", "pass the `async def` itself"),
    ],
)
def test_the_error_for_a_step_that_cannot_be_stored_has_the_reason(case: str, message: str) -> None:
    with pytest.raises((TaskError, TypeError, ValueError), match=message):
        run(one_step, case=case)


def test_a_step_that_raised_can_be_retried() -> None:
    tried: list[int] = []

    def fails_once() -> int:
        tried.append(1)
        return len(tried) // (len(tried) - 1)

    @task(name="tries_again")
    def tries_again(ctx: Context) -> int:
        try:
            return ctx.step("a", fails_once)
        except ZeroDivisionError:
            return ctx.step("a", fails_once)

    assert run(tries_again).result == 2
