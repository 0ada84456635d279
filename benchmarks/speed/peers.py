"""The worker compared with those of other libraries, whose guarantees differ."""

from contextlib import ExitStack

from benchmarks.speed.plan import Plan
from benchmarks.speed.progress import say
from benchmarks.speed.queue import Spent, by_process, drain
from benchmarks.speed.ratios import Topic
from benchmarks.speed.sides import RQ, Dramatiq, Huey, Ours, Peer, Side, Taskiq

_OURS = (
    "status, progress and result kept; late acknowledgment: a killed worker's tasks run again, never two at the same "
    "time; limits and cancel"
)


def peers(plan: Plan) -> list[Topic]:
    """Drain empty tasks through each library's worker with two processes."""
    topic = Topic("Empty tasks drained, other libraries", "a second, by one worker with two processes")
    cpu: dict[str, list[Spent]] = {}
    with ExitStack() as stack:
        sides: list[Side] = [stack.enter_context(side()) for side in (Ours, RQ, Dramatiq, Taskiq, Huey)]
        sides[0].start_web()
        for number in range(plan.rounds):
            for done, side in enumerate(sides):
                say(topic.title, number * len(sides) + done + 1, plan.rounds * len(sides), side.name)
                rate, spent = drain(side, plan.drained)
                topic.add(side.name, rate)
                cpu.setdefault(side.name, []).append(spent)
    topic.remarks = {side.name: side.keeps if isinstance(side, Peer) else _OURS for side in sides}
    spent_on = "; ".join(f"{name} {by_process(spent)}" for name, spent in cpu.items())
    topic.notes = [f"Milliseconds of CPU for each task (medians): {spent_on}."]
    return [topic]
