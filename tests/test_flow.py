"""What arrived, started, waited and ended, by task type and owner, over an hour, a day and a week."""

from harness import Service

from server.store.stats import OTHERS, STEPS, Range


def test_arrivals_starts_waits_and_ends_are_counted_by_type_and_owner(fresh: Service) -> None:
    fresh.start_web()
    made = [fresh.submit("divide", x=1, y=y) for y in (1, 0, 1)]
    fresh.http.post(f"/tasks/{made[2]}/cancel")
    fresh.start_worker()
    for each in made:
        fresh.wait_for(each)

    for span in Range:
        flows = fresh.store.flow_stats.read(span)
        local = flows.of_owner("local")
        counts = {what: sum(numbers) for what, numbers in local.counts.items() if what != "waited_ms"}
        assert counts == {"arrived": 3, "started": 2, "succeeded": 1, "failed": 1, "canceled": 1}
        assert flows.of_types(["divide"]) == flows.of_types()
        assert flows.of_types() == local
        assert flows.of_types(["hello"]).total("arrived") == 0
        assert len(local.of("canceled")) == STEPS[span][1]
        assert local.wait_seconds is not None and 0 < local.wait_seconds < 60
        assert flows.of_owner("nobody").wait_seconds is None
    assert fresh.store.flow_stats.unfinished_by_owner() == {}


def test_hours_are_summed_up_for_a_week_by_the_first_event_of_the_next(fresh: Service) -> None:
    fresh.start_web()
    store, redis = fresh.store, fresh.redis.client
    hour = store.flow_stats.now_ms() // 3_600_000
    redis.hset(f"flow:{hour - 2}", mapping={"3:t:divide:arrived": 4, "4:t:divide:arrived": 5})
    redis.hset(f"flow:{hour - 1}", mapping={"0:o:local:waited_ms": 70})
    assert store.flow_stats.read(Range.WEEK).of_types().total("arrived") == 9, "hours without a sum count, too"

    fresh.submit("divide", x=1, y=2)

    assert redis.hgetall(f"week:{hour - 2}") == {b"t:divide:arrived": b"9"}
    assert redis.hgetall(f"week:{hour - 1}") == {b"o:local:waited_ms": b"70"}
    assert 24 * 3600 < redis.ttl(f"flow:{hour - 2}") <= 25 * 3600
    assert 7 * 86_400 < redis.ttl(f"week:{hour - 2}") <= 8.1 * 86_400
    week = store.flow_stats.read(Range.WEEK)
    assert week.of_types().total("arrived") == 10
    assert week.of_owner("local").total("waited_ms") == 70
    assert store.flow_stats.read(Range.DAY).of_types().total("arrived") == 10
    assert store.flow_stats.unfinished_by_owner() == {"local": 1}


def test_owners_beyond_a_limit_are_counted_together(fresh: Service) -> None:
    fresh.start_web()
    hour = fresh.store.flow_stats.now_ms() // 3_600_000
    fresh.redis.client.hset(f"flow:{hour}", mapping={f"0:o:owner-{n}:arrived": 1 for n in range(5000)})

    fresh.submit("divide", x=1, y=2)

    flows = fresh.store.flow_stats.read(Range.WEEK)
    assert flows.of_owner("local").total("arrived") == 0
    assert flows.of_owner(OTHERS).total("arrived") == 1
    assert flows.of_owner("owner-7").total("arrived") == 1
