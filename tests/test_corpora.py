"""`make test-corpora` distinguishes the outcomes of files, and survives files that kill their process."""

import faulthandler
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests import corpora
from tests.images.pictures import encoded, photo


def test_a_folder_is_reported_file_by_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "good.png").write_bytes(encoded(photo(80, 60), "PNG"))
    (tmp_path / "below" / "half.png").write_bytes(encoded(photo(80, 60), "PNG")[:200])
    (tmp_path / "table.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "song.mp3").write_bytes(b"ID3")
    assert corpora.main(tmp_path) == 0
    printed = capsys.readouterr().out
    assert "below/half.png  image-unreadable: The PNG ends too early" in printed
    assert sorted(printed.splitlines()[-1].split(", ")) == ["1 left out", "1 refused", "2 done"]


def die(file: Any) -> str:
    faulthandler.disable()  # its report of this process would look like a failure of the tests
    os.abort()


def hang(file: Any) -> str:
    time.sleep(60)
    return ""


def raise_error(file: Any) -> str:
    raise KeyError("x")


@pytest.mark.parametrize(("reader", "outcome"), [(die, "crash"), (hang, "timeout"), (raise_error, "error")])
def test_a_file_that_crashes_its_process_is_reported_as_a_crash(tmp_path: Path, reader: Any, outcome: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"")
    assert corpora.run_in_process(reader, path, seconds=1).outcome == outcome
