"""Statistics of CSV files over HTTP."""

import csv
import gzip
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from harness import Process, Service, eventually

MIB = 2**20
TABLES = Path(__file__).parent / "tables"


def submit(service: Service, data: bytes, filename: str = "table.csv", **fields: Any) -> str:
    """Send a file as a form; return the task's id."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    answer = service.http.post("/tasks/csv_stats", files={"file": (filename, data, "text/csv")}, data=texts)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def stats(service: Service, data: bytes | str, **fields: Any) -> dict[str, Any]:
    """Return the task's statistics of a file."""
    table: dict[str, Any] = service.result(
        submit(service, data if isinstance(data, bytes) else data.encode(), **fields)
    )
    return table


def error(service: Service, data: bytes | str, **fields: Any) -> tuple[str, str]:
    """Return type and detail of the error that ends the task."""
    ended = service.wait_for(submit(service, data if isinstance(data, bytes) else data.encode(), **fields))
    assert ended["status"] == "failed", ended
    return ended["error"]["type"].removeprefix("/problems/"), ended["error"]["detail"]


def test_each_column_has_its_type_and_statistics(service: Service) -> None:
    rows = ["n,price,ok,day,at,zip,name"]
    rows += [f"{n},{n / 4},true,2024-02-{n:02},2024-02-{n:02}T12:00:00Z,0{n},a" for n in range(1, 11)]
    table = stats(service, "\n".join([*rows, ",,,,,,"]))
    assert (table["rows"], table["column_count"], table["delimiter"], table["header"]) == (11, 7, ",", True)
    n, price, ok, day, at, code, name = table["columns"]
    types = [column["type"] for column in table["columns"]]
    assert types == ["integer", "number", "boolean", "date", "timestamp", "text", "text"]
    assert (n["min"], n["max"], n["mean"], n["nulls"], n["distinct"]) == (1, 10, 5.5, 1, 10)
    assert n["std"] == pytest.approx(3.0277, abs=1e-4)
    assert n["quartiles"] == [3.25, 5.5, 7.75]
    assert n["quartiles_approximate"] is False
    assert [each["count"] for each in n["histogram"]] == [1] * 10
    assert len(price["histogram"]) == 20
    assert sum(each["count"] for each in price["histogram"]) == 10
    assert ok["most_frequent"] == [{"value": True, "count": 10}]
    assert (day["min"], day["max"], day["mean"]) == ("2024-02-01", "2024-02-10", "2024-02-05")
    assert at["quartiles"][1] == "2024-02-06T00:00:00"
    assert (code["min"], name["distinct"]) == ("01", 1)


@pytest.mark.parametrize(
    ("text", "delimiter", "names"),
    [
        ("a;b\n1,5;2\n3,5;4\n", ";", ["a", "b"]),
        ("a\tb\n1\t2\n", "\t", ["a", "b"]),
        ("a|b\n1|2\n", "|", ["a", "b"]),
        ("name\nx\ny\n", ",", ["name"]),
        ("1,2\n3,4\n", ",", ["column 1", "column 2"]),
        ('\n\n"first\nname","a ""b"""\n1,2\n', ",", ["first\nname", 'a "b"']),
        ("a,a,\n1,2,3\n", ",", ["a", "a", ""]),
        ("sep=;\na;b\n1;2\n", ";", ["a", "b"]),
        ("a^b\n1^2\n", "^", ["a", "b"]),
        ("a~b\n1~2\n", "~", ["a", "b"]),
        ("a b   c\n1 2 'x'\n", " ", ["a", "b", "c"]),
        ("full name\nAda L\nBob K\n", ",", ["full name"]),
        ("1,5;2\n3,5;4\n", ";", ["column 1", "column 2"]),
        ("name,2024,2025\nA,1,2\nB,3,4\n", ",", ["name", "2024", "2025"]),
        ("born,1990\nAda,1985\nBob,1972\n", ",", ["column 1", "column 2"]),
        ("2023,2024\n1,2\n3,4\n", ",", ["2023", "2024"]),
        (",0,1\n0,5,6\n1,7,9\n", ",", ["", "0", "1"]),
        (",a\n0,5\n1,7\n", ",", ["", "a"]),
        ("day,2024-01-01,2024-01-02\nA,5,6\n", ",", ["day", "2024-01-01", "2024-01-02"]),
    ],
)
def test_delimiter_and_header_are_detected(service: Service, text: str, delimiter: str, names: list[str]) -> None:
    table = stats(service, text)
    assert table["delimiter"] == delimiter
    assert [column["name"] for column in table["columns"]] == names


def test_explicit_options_override_detection(service: Service) -> None:
    table = stats(service, "a:b\n007:1\nx:2\n", delimiter=":", header=False, types={"column 1": "integer"})
    first, second = table["columns"]
    assert (table["rows"], table["header"], second["type"]) == (3, False, "text")
    assert (first["type"], first["min"], first["nulls"]) == ("integer", 7, 2)
    assert first["misfits"] == {"type": "integer", "count": 2, "first_row": 1, "first_line": 1, "first_value": "a"}


def test_a_type_for_a_missing_column_is_refused_with_the_columns(service: Service) -> None:
    assert error(service, "a,b\n1,2\n", types={"c": "text"}) == (
        "csv-no-such-column",
        "No column is called 'c'; these are: 'a', 'b'.",
    )


def test_a_column_of_mixed_types_is_text_and_names_the_misfits(service: Service) -> None:
    column = stats(service, "n\n" + "1\n" * 30_000 + "?\n2\n")["columns"][0]
    assert column["type"] == "text"
    position = {"first_row": 30_001, "first_line": 30_002}
    assert column["misfits"] == {"type": "integer", "count": 1, **position, "first_value": "?"}


def test_ragged_rows_are_skipped_and_listed_by_line(service: Service) -> None:
    table = stats(service, 'a,b\n"two\nlines",1\n2\n3,4\n5,6,7\n8,9\n')
    assert table["rows"] == 3
    assert table["skipped"] == {
        "count": 2,
        "lines": 2,
        "first": [
            {"line": 4, "lines": 1, "reason": "too few columns"},
            {"line": 6, "lines": 1, "reason": "too many columns"},
        ],
    }


@pytest.mark.parametrize(
    ("data", "encoding", "city"),
    [
        ("city,n\nKöln,1\n".encode(), "utf-8", "Köln"),
        ("\ufeffcity,n\nKöln,1\n".encode(), "utf-8", "Köln"),
        ("city,n\nKöln,1\n".encode("cp1252"), "windows-1252", "Köln"),
        ("city,n\r\nKöln,1\r\n".encode("utf-16"), "utf-16-le", "Köln"),
        ("city,n\nKöln,1\n".encode("utf-16-be"), "utf-16-be", "Köln"),
    ],
)
def test_the_encoding_is_detected(service: Service, data: bytes, encoding: str, city: str) -> None:
    table = stats(service, data)
    assert (table["encoding"], table["columns"][0]["name"], table["columns"][0]["min"]) == (encoding, "city", city)


def test_the_header_is_parsed_like_the_rows(service: Service) -> None:
    table = stats(service, (TABLES / "header_bad_quote.csv").read_bytes())
    assert (table["rows"], table["skipped"]["count"]) == (1000, 0)
    assert [column["name"] for column in table["columns"]] == ['5" pipe', "price"]


def test_an_unclosed_quote_is_reported_with_the_lines_that_it_spans(service: Service) -> None:
    data = (TABLES / "unclosed_quote.csv").read_bytes()
    assert error(service, data) == (
        "csv-unreadable",
        "Line 1002: the quote that opens column 2 is never closed and swallows 1000 lines, up to line 2002. "
        "Fix the line; or give `quote=none`, if quotes mean nothing here.",
    )
    assert stats(service, data, quote="none")["rows"] == 2001


def test_every_line_is_accounted_for(service: Service) -> None:
    text = '% made by hand\na,b\n\n1,"x\ny"\n2\n"5 pipe,3\n6,"7\n\n%\n8,9\n'
    table = stats(service, text, comment="%")
    assert table["lines"] == {
        "total": 11, "before": 0, "header": 1, "rows": 3, "skipped": 3, "blank": 2, "comments": 2
    }  # fmt: skip
    assert table["longest_row"] == {"line": 4, "lines": 2}
    assert table["skipped"]["first"][1] == {
        "line": 7,
        "lines": 2,
        "reason": "the quote that opens column 1 is not closed properly and swallows 1 line, up to line 8",
    }


def test_lines_before_the_table_are_skipped_on_request_and_the_error_explains_how(service: Service) -> None:
    data = (TABLES / "preamble.csv").read_bytes()
    type_, detail = error(service, data)
    assert (type_, "give `skip_rows=3`" in detail) == ("csv-unreadable", True)
    table = stats(service, data, skip_rows=3)
    assert [column["name"] for column in table["columns"]] == ["name", "amount", "city"]
    assert (table["rows"], table["lines"]["before"]) == (3, 3)


def test_a_padded_title_row_does_not_hide_the_header(service: Service) -> None:
    text = ",,\nSales,,\nname,amount,city\nA,1,x\nB,2,y\n"
    assert "line 3: give `skip_rows=2`; if the table has no header, `header=false`" in error(service, text)[1]
    assert [column["name"] for column in stats(service, text, skip_rows=2)["columns"]] == ["name", "amount", "city"]
    assert stats(service, text, header=False)["rows"] == 5


def test_short_rows_are_padded_on_request(service: Service) -> None:
    text = "a,b\n1,2,3\n4\n5,6,7,8\n9,10,11\n"
    assert "`pad_rows=true`" in error(service, text)[1]
    table = stats(service, text, pad_rows=True)
    assert [(column["name"], column["nulls"]) for column in table["columns"]] == [("a", 0), ("b", 1), ("column 3", 1)]
    assert (table["rows"], table["padded"], table["skipped"]["count"]) == (3, 1, 1)


def test_numbers_and_dates_are_read_in_the_clients_format(service: Service) -> None:
    text = "n;at;day;flag\n1.234,56;31.12.2023 10:30;1.2.2024;y\n-7;01.01.2024 00:00;29.2.2024;n\n"
    n, at, _, flag = stats(service, text, decimal=",", date_format="%d.%m.%Y %H:%M")["columns"]
    assert (n["type"], n["min"], n["max"]) == ("number", -7, 1234.56)
    assert (at["type"], at["max"], flag["type"]) == ("timestamp", "2024-01-01T00:00:00", "text")
    day = stats(service, text, date_format="%d.%m.%Y", types={"flag": "boolean"})["columns"][2]
    assert (day["type"], day["min"], day["max"]) == ("date", "2024-02-01", "2024-02-29")


def test_placeholders_for_missing_values_are_nulls(service: Service) -> None:
    text = "n\n1\nNA\nN/A\nNULL\nNaN\n-\n"
    column = stats(service, text.replace("-\n", ""))["columns"][0]
    assert (column["type"], column["nulls"]) == ("integer", 4)
    column = stats(service, text, null_values=["-"])["columns"][0]
    assert (column["type"], column["nulls"], column["distinct"]) == ("text", 1, 5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"delimiter": '"'}, 'Give one character, "tab" or "space"'),
        ({"delimiter": ",,"}, 'Give one character, "tab" or "space"'),
        ({"delimiter": "'", "quote": "'"}, "`delimiter` and `quote` are the same character"),
        ({"quote": "nothing"}, "at most 4 characters"),
        ({"date_format": "DD.MM.YYYY"}, "Give a format such as %d.%m.%Y"),
        ({"date_format": "%Q"}, "Give a format such as %d.%m.%Y"),
        ({"skip_rows": -1}, "greater than or equal to 0"),
        ({"decimal": "x"}, "'.' or ','"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_a_message(
    service: Service, fields: dict[str, Any], message: str
) -> None:
    answer = service.http.post("/tasks/csv_stats", json={"file": {"data": "YQ=="}, **fields})
    assert answer.status_code == 422
    assert message in answer.json()["errors"][0]["msg"]


def test_a_value_has_at_most_one_mebibyte(service: Service) -> None:
    head = b"a,b\n1,"
    assert stats(service, head + b"x" * MIB + b"\n")["rows"] == 1
    type_, detail = error(service, head + b"x" * (MIB + 1) + b"\n")
    assert (type_, detail.startswith("Line 2: the value in column 2 is longer than 1 MiB")) == ("csv-too-large", True)
    assert "give `quote=none`" in error(service, head + b'"' + b"x\n" * MIB)[1]
    assert error(service, head + b"x" * 5 * MIB)[1] == "Line 2 is longer than 4 MiB."


def test_the_client_can_set_the_encoding(service: Service) -> None:
    table = stats(service, "名前,n\n東京,1\n".encode("shift_jis"), encoding="shift_jis")
    assert (table["columns"][0]["name"], table["columns"][0]["min"]) == ("名前", "東京")


def test_all_line_breaks_are_read(service: Service) -> None:
    table = stats(service, b"a,b\r\n1,2\r3,4\n5,6")
    assert (table["rows"], table["columns"][1]["max"]) == (3, 6)


@pytest.mark.parametrize(
    ("data", "type_", "message"),
    [
        (b"\n \n", "csv-empty", "no rows"),
        (b"a,b\n1,2\n\x00\x01,3\n", "csv-unreadable", "Line 3 holds a control character"),
        (b"a\nK\xf6ln\nx\x81y\n", "csv-unreadable", "Line 3 is not text in utf-8 or windows-1252"),
        (bytes(range(256)) * 20, "csv-unreadable", "Line 3 is not text"),
        (b"PK\x03\x04" + bytes(100), "csv-unreadable", "a ZIP archive (an Excel"),
        (b"%PDF-1.7\n%\xe2\xe3\n", "csv-unreadable", "This is a PDF"),
        (b"PAR1\x15\x04", "csv-unreadable", "This is a Parquet file"),
        (b'[{"a":1},{"a":2}]', "csv-unreadable", "This is JSON"),
        (b'{"a":1}\n{"a":2}\n', "csv-unreadable", "This is JSON"),
        (b"<!-- x -->\n<!DOCTYPE html>\n<p>hi, you</p>", "csv-unreadable", "This is HTML"),
        (b"<?xml version='1.0'?><a/>", "csv-unreadable", "This is XML"),
        (gzip.compress(b"a,b\n1,2\n" * 1000, mtime=0)[:-20], "csv-unreadable", "cut off"),
        (b"a,b\n1,2,3\n4,5,6\n", "csv-unreadable", "The header in line 1 has 2 columns, but most rows have 3"),
        (b'"c\n', "csv-unreadable", "Line 1: the quote that opens column 1 is never closed. Fix the line"),
        (b'a,b,"c', "csv-unreadable", "Line 1: the quote that opens column 3 is never closed"),
        (b'a,b\n"never closed,1\n', "csv-unreadable", "at line 2"),
        (b"a,b\n" + b"1,2\n" * 2000 + b"3\n" * 1500, "csv-unreadable", "the first at line 2002: too few columns"),
        (",".join(map(str, range(10_000))).encode(), "csv-too-large", "10000 columns; the limit is 2000"),
    ],
)
def test_an_unreadable_table_is_a_clear_error(service: Service, data: bytes, type_: str, message: str) -> None:
    type_name, detail = error(service, data)
    assert type_name == type_
    assert message in detail


def test_a_wrong_encoding_names_the_line(service: Service) -> None:
    assert error(service, b"a\nx\nK\xf6ln\n", encoding="utf-8")[1].startswith("Line 3 is not text in utf-8")
    assert "no encoding 'utf-9'" in error(service, b"a\nx\n", encoding="utf-9")[1]


def test_a_table_may_have_only_a_header(service: Service) -> None:
    table = stats(service, "a,b\n")
    assert (table["rows"], table["columns"][0]["distinct"], table["columns"][0]["min"]) == (0, 0, None)


def test_many_columns_are_all_listed_in_a_file_and_partly_in_the_result(service: Service) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([[f"c{n}" for n in range(250)], range(250), range(250)])
    table = stats(service, text.getvalue())
    assert (table["column_count"], len(table["columns"])) == (250, 200)
    everything = service.http.get(table["statistics"]["href"]).json()
    assert [column["max"] for column in everything["columns"]] == list(range(250))


def test_names_and_values_are_data_to_sql_and_html(service: Service) -> None:
    text = io.StringIO()
    evil = ["<script>alert(1)</script>", "'; DROP TABLE rows; --", '"', "{{ 7 * 7 }}"]
    csv.writer(text).writerows([evil, evil, evil])
    table = stats(service, text.getvalue(), filename="<b>.csv", header=True, report=True)
    assert [column["name"] for column in table["columns"]] == evil
    page = service.http.get(table["report"]["href"])
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text
    assert "<b>" not in page.text
    assert page.text.count("<svg") == 4
    assert not re.search(r"(src|href)=|url\(|@import", page.text.partition("<body>")[0])
    assert "{{ 7 * 7 }}" in page.text


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/proc/self/environ')",
        "COPY (SELECT 1) TO '/tmp/csv-stats-was-here'",
        "ATTACH '/tmp/csv-stats-was-here.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
    ],
)
def test_an_injected_sql_statement_could_not_reach_files_or_network(tmp_path: Path, statement: str) -> None:
    import duckdb

    from server.tasks.tables.database import opened

    with pytest.raises(duckdb.Error), opened(tmp_path, 512 * MIB) as connection:
        connection.execute(statement)


def write_table(path: Path, size: int) -> int:
    """Write a gzipped table of `size` bytes: numbers, timestamps, words, and unique words."""
    rows = written = 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"id,at,city,price,hash\n")
        while written < size:
            lines = [
                f"{n},2024-0{n % 9 + 1}-1{n % 7} 10:00:00,city {n % 50},{n * 7919 % 9973 / 100},{n * 2654435761:032x}\n"
                for n in range(rows, rows + 10_000)
            ]
            rows += 10_000
            written += file.write("".join(lines).encode())
    return rows


def peak_of_children(worker: Process) -> int:
    """Return the maximum resident memory of the worker's children."""
    texts = [Path(f"/proc/{child}/status").read_text() for child in worker.children()]
    return max(int(text.partition("VmHWM:")[2].split()[0]) * 1024 for text in texts)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("size", [50 * 10**6, pytest.param(10**9, marks=pytest.mark.slow)])
def test_memory_use_has_a_limit(tmp_path: Path, size: int) -> None:
    rows = write_table(tmp_path / "table.csv.gz", size)
    settings = {"MAX_UPLOAD_BYTES": str(10**9), "BLOB_URL": f"file://{tmp_path}/blobs", "WORKER_CONCURRENCY": "1"}
    with Service(tmp_path, **settings) as service:
        service.start()
        task_id = submit(service, (tmp_path / "table.csv.gz").read_bytes(), "table.csv.gz", report=True)
        table = service.result(task_id, seconds=60 + size / 10**6)
        assert (table["rows"], table["compressed"]) == (rows, True)
        assert [column["distinct"] for column in table["columns"]][-1] == rows
        assert peak_of_children(service.workers[0]) < 500 * MIB


#: Some tens of megabytes, so that its reading lasts.
LARGE = b"id,city\n" + b"17,Kiel and all that is around it\n" * 10**6


def test_a_table_can_be_canceled_while_it_is_read(service: Service) -> None:
    task_id = submit(service, gzip.compress(LARGE, 1), "table.csv.gz")
    service.wait_for(task_id, "running")
    began = time.monotonic()
    service.http.post(f"/tasks/{task_id}/cancel")
    assert service.wait_for(task_id)["status"] == "canceled"
    assert time.monotonic() - began < 30


def test_the_files_of_a_killed_attempt_are_deleted_soon(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with Service(tmp_path, TMPDIR=str(tmp_path / "work"), WORKER_CONCURRENCY="1") as service:
        service.start()
        task_id = submit(service, gzip.compress(LARGE, 1), "table.csv.gz")
        eventually(lambda: list((tmp_path / "work").glob("**/table.csv")))
        service.workers[0].kill_one_child()
        assert service.wait_for(task_id, seconds=60)["status"] == "succeeded"
        assert list((tmp_path / "work").glob("**/table.csv")) == []
