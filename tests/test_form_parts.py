"""The splitter of multipart forms: the same parts as Werkzeug's decoder finds, however the bytes arrive."""

import random
from collections.abc import Iterator

import pytest
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from server.web.body.parts import MAX_HEAD, MAX_PARTS, Parts
from server.web.errors import Problem

Part = tuple[str | None, str | None, str, bytes]

HEAD = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n'
FIELD = b'--XX\r\nContent-Disposition: form-data; name="x"\r\n\r\n'
END = b"--XX--\r\n"

FORMS = {
    "a file": HEAD + b"hello\r\n" + END,
    "a field and a file": FIELD + b"1\r\n" + HEAD + b"hello\r\n" + END,
    "an empty file": HEAD + b"\r\n" + END,
    "a file without its line break": HEAD + END,
    "no parts": END,
    "a preamble and an epilogue": b"preamble\r\n" + FIELD + b"1\r\n" + END + b"epilogue",
    "line breaks of LF": (FIELD + b"1\r\n" + HEAD + b"a\nb\r\n" + END).replace(b"\r\n", b"\n"),
    "line breaks of CR": (FIELD + b"1\r\n" + HEAD + b"ab\r\n" + END).replace(b"\r\n", b"\r"),
    "line breaks in the data": HEAD + b"\r\n\r\n\n\r\r--\r\n--X\r\n-\r\n" + END,
    "a boundary without a line break": HEAD + b"a--XX\r\nb--XX--\r\n" + END,
    "a boundary with something after it": HEAD + b"a\r\n--XXY\r\nb\r\n--XX-\r\nc\r\n--XX Y\r\n" + END,
    "white space after a boundary": FIELD + b"1\r\n" + HEAD.replace(b"XX\r", b"XX \t\r") + b"2\r\n--XX-- \r\n",
    "a folded line": HEAD.replace(b"; filename", b";\r\n filename") + b"hello\r\n" + END,
    "a name in UTF-8": HEAD.replace(b"a.txt", "ä.txt".encode()) + b"hello\r\n" + END,
    "the end without a line break": HEAD + b"hello\r\n--XX--",
}

MALFORMED = {
    "nothing": b"",
    "no end": HEAD + b"hello",
    "no end after a boundary": HEAD + b"hello\r\n--XX",
    "no end in a head": HEAD[:30],
    "no Content-Disposition": HEAD.replace(b"Disposition", b"Position") + b"hello\r\n" + END,
    "a head that is not UTF-8": HEAD.replace(b"a.txt", b"\xff") + b"hello\r\n" + END,
    "another boundary": HEAD.replace(b"XX", b"YY") + b"hello\r\n" + END.replace(b"XX", b"YY"),
    "a long head": HEAD[:20] + b"x" * MAX_HEAD + HEAD[20:] + b"hello\r\n" + END,
    "much white space after a boundary": HEAD + b"hello\r\n--XX" + b" " * 2 * MAX_HEAD + b"\r\n",
}


def pieces(form: bytes, size: int) -> Iterator[bytes]:
    yield from (form[at : at + size] for at in range(0, len(form), size))


def split(form: bytes, size: int) -> list[Part]:
    source = pieces(form, size)
    reader, parts = Parts(b"XX", lambda: next(source, b"")), list[Part]()
    while (part := reader.next_part()) is not None:
        parts.append((part.name, part.filename, part.media_type, b"".join(reader.data())))
    return parts


def decoded(form: bytes) -> list[Part]:
    decoder, parts = MultipartDecoder(b"XX"), list[Part]()
    decoder.receive_data(form)
    decoder.receive_data(None)
    while not isinstance(event := decoder.next_event(), Epilogue):
        assert not isinstance(event, NeedData)
        if isinstance(event, Field | File):
            filename = event.filename if isinstance(event, File) else None
            parts.append((event.name, filename, event.headers.get("Content-Type", ""), b""))
        elif isinstance(event, Data):
            *about, before = parts[-1]
            parts[-1] = (*about, before + event.data)
    return parts


@pytest.mark.parametrize("title", FORMS)
def test_a_form_has_the_same_parts_however_its_bytes_arrive(title: str) -> None:
    form = FORMS[title]
    expected = decoded(form)
    for size in (*range(1, 50), len(form)):
        assert split(form, size) == expected, size


def test_random_data_is_parsed_as_by_werkzeug() -> None:
    chance, texts = random.Random(1), [b"\r", b"\n", b"-", b"X", b"a", b" ", b"--XX", b"\r\n"]
    for _ in range(3000):
        form = HEAD + b"".join(chance.choices(texts, k=chance.randrange(60))) + b"\r\n" + END
        try:
            expected = decoded(form)
        except ValueError:  # it has a boundary in it
            with pytest.raises(Problem, match="malformed"):
                split(form, chance.randrange(1, 80))
        else:
            assert split(form, chance.randrange(1, 80)) == expected, form


@pytest.mark.parametrize("title", MALFORMED)
def test_a_malformed_form_is_refused(title: str) -> None:
    form = MALFORMED[title]
    for size in (1, 7, max(1, len(form))):
        with pytest.raises(Problem, match="malformed"):
            split(form, size)


def test_unread_parts_are_skipped() -> None:
    source = pieces(FIELD + b"1\r\n" + HEAD + b"x" * 1000 + b"\r\n" + FIELD + b"2\r\n" + END, 100)
    reader, names = Parts(b"XX", lambda: next(source, b"")), []
    while (part := reader.next_part()) is not None:
        names.append(part.name)
    assert names == ["x", "file", "x"]


def test_a_form_has_a_limited_number_of_parts() -> None:
    assert len(split((FIELD + b"1\r\n") * MAX_PARTS + END, 1000)) == MAX_PARTS
    with pytest.raises(Problem, match="parts"):
        split((FIELD + b"1\r\n") * (MAX_PARTS + 1) + END, 1000)
