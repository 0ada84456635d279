"""libvips and Pillow give the same pixels of a PNG, and the same errors."""

import pytest
from PIL import Image

from server.sdk.errors import TaskError
from server.tasks.images.reading import vips
from server.tasks.images.reading.source import Source
from tests.images.pictures import Sent, encoded, made, photo, swapped_profile

pytest.importorskip("pyvips")

SIZE = (900, 600)


def picture(mode: str) -> Image.Image:
    image = photo(*SIZE).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.linear_gradient("L").resize(SIZE))
    return image


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_every_pixel_is_the_same(mode: str) -> None:
    data = encoded(picture(mode), "PNG")
    source = Source(Sent(data))
    fast = vips.decoded(data, source._open())
    assert fast is not None
    assert (fast.mode, fast.tobytes()) == (mode, picture(mode).tobytes())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: encoded(photo(*SIZE).quantize(50), "PNG"), id="palette"),
        pytest.param(lambda: encoded(photo(*SIZE), "PNG", transparency=(1, 2, 3)), id="transparent color"),
        pytest.param(lambda: encoded(photo(*SIZE).convert("L").convert("I;16"), "PNG"), id="sixteen bits"),
        pytest.param(lambda: encoded(photo(30, 20), "PNG"), id="small"),
    ],
)
def test_other_pictures_are_left_to_pillow(data) -> None:  # type: ignore[no-untyped-def]
    source = Source(Sent(data()))
    assert vips.decoded(data(), source._open()) is None


@pytest.mark.parametrize("profile", [None, swapped_profile()])
def test_a_result_is_the_same_by_either_library(profile: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(photo(*SIZE), "PNG", icc_profile=profile)
    fast = made("thumbnail", data, width=300, height=300)
    monkeypatch.setattr(vips, "_pyvips", lambda: None)
    assert made("thumbnail", data, width=300, height=300).tobytes() == fast.tobytes()


def test_a_truncated_picture_is_an_error_by_either_library(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(photo(*SIZE), "PNG")
    for _ in range(2):
        with pytest.raises(TaskError, match="ends too early") as caught:
            made("flip", data[: len(data) // 2])
        assert caught.value.type == "image-unreadable"
        monkeypatch.setattr(vips, "_pyvips", lambda: None)
