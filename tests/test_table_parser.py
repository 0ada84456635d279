"""The parser of tables: it reads well-formed tables back, and loses no line of any other."""

import csv
import io
import random
from pathlib import Path

import pytest
from harness import ROOT

from server.sdk.csv.dialect import Options, find_dialect
from server.sdk.csv.parser import Reader, Syntax
from server.sdk.errors import TaskError
from server.tasks.tables.rows import rewrite

SEEDS = range(300)


def read(text: str, **syntax: str) -> list[list[str]]:
    return [record.cells for record in Reader(io.StringIO(text, newline="\n"), Syntax(**{"delimiter": ",", **syntax}))]


@pytest.mark.parametrize("seed", SEEDS)
def test_any_valid_table_is_read_back(seed: int) -> None:
    dice = random.Random(seed)
    delimiter, quote = dice.choice(",;\t|^~"), dice.choice("\"'")
    alphabet = ["a", "1", " ", "ü", "\n", delimiter, quote, "东", "%"]
    width = dice.randint(2, 5)
    rows = [
        ["".join(dice.choices(alphabet, k=dice.randint(0, 6))) for _ in range(width)]
        for _ in range(dice.randint(1, 20))
    ]
    text = io.StringIO(newline="")
    csv.writer(
        text, delimiter=delimiter, quotechar=quote, quoting=dice.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
        lineterminator="\n",
    ).writerows(rows)  # fmt: skip
    assert read(text.getvalue(), delimiter=delimiter, quote=quote) == rows


@pytest.mark.parametrize("seed", SEEDS)
def test_no_line_of_any_text_is_lost(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    text = "".join(dice.choices('ab1,,;"" \n\n#', k=dice.randint(1, 400))) + "x\n"
    source = tmp_path / "table.csv"
    source.write_text(text, newline="\n")
    options = Options(
        delimiter=dice.choice([None, ",", " "]), header=dice.choice([True, False]),
        skip_rows=dice.randint(0, 3), comment=dice.choice(["", "#"]), pad_rows=dice.random() < 0.7,
    )  # fmt: skip
    try:
        account = rewrite(source, tmp_path / "rows.txt", find_dialect(source, options), (), lambda _: None)
    except TaskError as error:
        assert error.type in ("csv-unreadable", "csv-empty")
        return
    lines = account.lines.model_dump()
    assert lines.pop("total") == text.count("\n") == sum(lines.values())
    written = (tmp_path / "rows.txt").read_text().split("\n")[:-1]
    assert len(written) == account.rows


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('"5" pipe",1\n', [['5" pipe', "1"]]),
        ('"5" pipe,1\n', [["5 pipe", "1"]]),
        ('a "b" c,1\n', [['a "b" c', "1"]]),
        ('1, "p, q" ,2\n', [["1", "p, q", "2"]]),
        ('"","""",x\n', [["", '"', "x"]]),
        ("a,\n", [["a", ""]]),
        ('"a\n\nb",1\n', [["a\n\nb", "1"]]),
    ],
)
def test_quotes_are_parsed_as_intended(text: str, rows: list[list[str]]) -> None:
    assert read(text) == rows


def test_a_line_full_of_stray_quotes_is_read_in_linear_time() -> None:
    line = '"a"b,' * 200_000
    assert len(read(line + "\n")[0]) == 200_001


def test_the_limits_of_pythons_csv_module_are_unchanged() -> None:
    users = [path for path in (ROOT / "server").rglob("*.py") if "field_size_limit" in path.read_text()]
    assert users == []
