"""Laws of steadygrad.datasets.decoding."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steadygrad import progress_lines
from steadygrad.datasets import decoding
from steadygrad.datasets.decoding import Framing
from steadygrad.errors import DatasetError


def test_everything_passes_through_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(decoding.track_if_slow(range(1000), 1000, "reading")) == list(range(1000))
    assert capfd.readouterr() == ("", "")


def test_long_work_off_a_terminal_says_how_far_it_is(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_lines, "FIRST_PAUSE", 0.0)
    assert len(list(decoding.track_if_slow(range(1000), 1000, "reading"))) == 1000
    output, errors = capfd.readouterr()
    assert output == "" and errors.startswith("reading: 0 %, about")


def test_long_work_on_a_terminal_shows_a_bar_on_standard_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "LOOK_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(decoding, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert len(list(decoding.track_if_slow(range(1000), 1000, "reading"))) == 1000
    output, errors = capfd.readouterr()
    assert output == ""
    assert "reading" in errors


CHUNKS = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's colour types by their channels."""


def png16(channels: int) -> bytes:
    """Encode 16-bit channels, of which Pillow would keep the upper byte."""

    def chunk(name: bytes, content: bytes) -> bytes:
        ends = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + ends

    values = np.arange(64 * channels).reshape(8, 8 * channels) * 300
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", 8, 8, 16, CHUNKS[channels], 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*parts) for parts in chunks)


def tiff16() -> bytes:
    """Encode the smallest 16-bit RGB TIFF."""
    entries = [
        *((256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 3, 150), (259, 3, 1, 1), (262, 3, 1, 2)),
        *((273, 4, 1, 160), (277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 1, 12)),
    ]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)
    bits = struct.pack("<HHH", 16, 16, 16)
    return head.ljust(150, b"\0") + bits.ljust(10, b"\0") + bytes(range(12))


def encode(image: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()


def decode(encoded: bytes, **settings: Any) -> np.ndarray:
    return decoding.decode_image(encoded, lambda: "the image", **settings)


DEEP = {
    **{f"png{channels}": png16(channels) for channels in CHUNKS},
    "ppm": b"P6 2 1 65535\n" + bytes(12),
    "plain-ppm": b"P3 2 1 65535\n1 2 3 4 5 6\n",
    "pgm": b"P5 2 1 65535\n" + bytes(4),
    "tiff": tiff16(),
    "float": encode(Image.new("F", (2, 2)), "TIFF"),
}


@pytest.mark.parametrize("encoded", DEEP.values(), ids=DEEP)
def test_more_than_eight_bits_a_channel_are_refused(encoded) -> None:
    with pytest.raises(DatasetError, match="the image: it has more than 8 bits a channel"):
        decode(encoded)


def test_other_colours_are_named() -> None:
    with pytest.raises(DatasetError, match="its colours are LAB; convert it to RGB"):
        decode(encode(Image.new("LAB", (2, 2)), "TIFF"))


def test_too_many_pixels_are_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DatasetError, match="more pixels than Pillow takes for safe"):
        decode(encode(Image.new("RGB", (20, 20))))


SHALLOW = {
    "palette": encode(Image.new("RGB", (2, 2)).quantize(4)),
    "one bit": encode(Image.new("1", (2, 2))),
    "ppm": b"P6 2 1 100\n" + bytes(6),
    "tiff": encode(Image.new("RGB", (2, 2)), "TIFF"),
    "transparent": encode(Image.new("RGBA", (2, 2))),
    "cmyk": encode(Image.new("CMYK", (2, 2)), "JPEG"),
    "webp": encode(Image.new("RGB", (2, 2)), "WEBP"),
    "bmp": encode(Image.new("RGB", (2, 2)), "BMP"),
}


@pytest.mark.parametrize("encoded", SHALLOW.values(), ids=SHALLOW)
def test_what_has_eight_bits_or_less_is_read(encoded) -> None:
    assert decode(encoded).dtype == np.uint8


def test_transparency_in_a_palette_raises_no_warning() -> None:
    image = Image.new("RGB", (2, 2), (10, 20, 30)).quantize(4)
    image.info["transparency"] = bytes([0, 128, 255, 255])
    assert decode(encode(image, transparency=bytes([0, 9]))).tolist() == [[[10, 20, 30]] * 2] * 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_read_as_it_is_displayed(kind: str, orientation: int) -> None:
    # A bright corner tells all eight orientations apart.
    pixels = np.zeros((16, 24), dtype=np.uint8)
    pixels[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = encode(Image.fromarray(pixels), kind, exif=exif)
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.T,
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels, 2).T,
        8: np.rot90(pixels),
    }[orientation]
    found = decode(encoded, channels=1)[:, :, 0]
    assert found.shape == turned.shape
    assert np.array_equal(found > 127, turned > 127)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_several_frames_are_refused(kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), shade) for shade in ("red", "blue", "green")]
    encoded = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(DatasetError, match="the image: it holds 3 frames, not one image"):
        decode(encoded)


def test_a_cameras_preview_is_no_second_image() -> None:
    photo = Image.new("RGB", (8, 8), (90, 90, 90))
    encoded = encode(photo, "MPO", save_all=True, append_images=[photo])
    assert decode(encoded).tolist() == np.full((8, 8, 3), 90).tolist()


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(DatasetError, match="the image: it is ICO; convert it to one of PNG, JPEG"):
        decode(encode(Image.new("RGB", (16, 16)), "ICO"))


def test_the_middle_is_cut_out_after_scaling_the_shorter_side() -> None:
    pixels = np.zeros((40, 80, 3), dtype=np.uint8)
    pixels[:, 20:60] = 200  # the middle square
    whole = decode(encode(Image.fromarray(pixels)), framing=Framing(20))
    assert whole.shape == (20, 20, 3)
    assert (whole[:, 1:-1] == 200).all()
    inner = decode(encode(Image.fromarray(pixels)), framing=Framing(20, shorter_side=30))
    assert (inner == 200).all()


def test_a_framing_of_the_own_size_changes_nothing(pixels) -> None:
    image = pixels(9, 9, 3)
    for kind in ("bilinear", "bicubic"):
        framing = Framing(9, interpolation=kind)
        assert np.array_equal(decode(encode(Image.fromarray(image)), framing=framing), image)


def test_random_parts_have_the_asked_share_of_the_area() -> None:
    draws = np.random.Generator(np.random.PCG64(0))
    framing = Framing(8, smallest_area=0.25)
    shares, ratios, places = [], [], []
    for _ in range(2000):
        left, top, right, bottom = framing._random_box(60, 40, draws)
        assert 0 <= left < right <= 60
        assert 0 <= top < bottom <= 40
        shares.append((right - left) * (bottom - top) / 2400)
        ratios.append((right - left) / (bottom - top))
        places.append(left > 60 - right)
    assert min(shares) >= 0.25 - 1e-9
    assert max(shares) > 0.85
    assert 3 / 4 - 1e-9 <= min(ratios) < 0.76
    assert 1.32 < max(ratios) <= 4 / 3 + 1e-9
    assert abs(np.mean(places) - 0.5) < 5 * 0.5 / np.sqrt(2000)


def test_a_part_that_fits_no_shape_is_the_middle() -> None:
    draws = np.random.Generator(np.random.PCG64(0))
    assert Framing(8, smallest_area=0.9)._random_box(100, 10, draws) == (45, 0, 55, 10)
