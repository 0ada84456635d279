"""The benchmarks' arithmetic and output; no measured figure is checked here."""

from xml.etree import ElementTree

import pytest

from benchmarks.speed.drawing import bars
from benchmarks.speed.load import parse
from benchmarks.speed.ratios import Topic, maximum, minimum, percentile, ratio, shown


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    comparison = ratio([10, 30, 20], [10, 10, 10])

    assert (comparison.median, comparison.low, comparison.high) == (2, 1, 3)
    assert str(comparison) == "2.00 x (1.00 to 3.00)"


def test_rounds_that_do_not_match_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio([1, 2], [1])
    with pytest.raises(ValueError, match="no round"):
        ratio([1], [0])


def test_a_percentile_is_one_of_the_measured_values() -> None:
    values = list(map(float, range(1, 101)))

    assert [percentile(values, share) for share in (0, 0.5, 0.99, 1)] == [1, 50, 99, 100]
    assert percentile([7.0], 0.99) == 7


def test_numbers_are_rounded_to_their_significant_digits() -> None:
    assert [shown(value) for value in (0.123, 12.34, 1234.5)] == ["0.12", "12.3", "1,234"]


def test_a_finding_reports_whether_the_goal_was_met() -> None:
    assert minimum(2.5, ratio([5], [2]), "of it").met
    assert not maximum(10, 10.5, "of it", unit="ms").met


def test_the_output_of_wrk_is_parsed() -> None:
    output = (
        "Running 2s test @ http://127.0.0.1:1\n  1 threads and 16 connections\nRequests/sec: 50.00\n"
        '{"requests": 110, "microseconds": 2000000, "refused": 10, "broken": 3, "median_us": 1500, "p99_us": 9000}\n'
    )

    report = parse(output)

    assert (report.rate, report.broken, report.median_ms, report.p99_ms) == (50, 3, 1.5, 9)
    with pytest.raises(ValueError, match="no figures"):
        parse("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_a_picture_has_a_bar_and_a_name_for_each_series() -> None:
    topic = Topic("Polls & more", "a second", {"this server": [1.0, 2.0, 3.0], "<others>": [1.0]})

    root = ElementTree.fromstring(bars(topic))

    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["Polls & morea second", "this server", "2.00", "<others>", "1.00"]
