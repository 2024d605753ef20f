"""Folders of images: rows in a fixed order, every refusal by name, and nothing leads outside."""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.pictures import CLASSES, IMAGE, LABEL, bomb, by_class, encoded, pixels, png
from PIL import Image, ImageFile

from secureflow.adapters.datasources import (
    SourceLimits,
    formats,
    imagefiles,
    imagestreams,
    open_source,
)
from secureflow.adapters.datasources.imagefiles import BrokenImageError, decoded, header
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.kit.errors import SecureFlowError

LIMITS = SourceLimits(max_image_bytes=100_000, max_pixels=10_000)


def refused(
    config: DatasetConfig, columns: tuple[str, ...] = ("image", "label"), **limits: Any
) -> Any:
    with pytest.raises(SecureFlowError) as caught:
        open_source(config, replace(LIMITS, **limits)).read(columns)
    return caught.value


def tolerant(config: DatasetConfig, *columns: str, **limits: Any) -> dict[str, Any]:
    source = open_source(config, replace(LIMITS, **limits), tolerant=True)
    source.check(columns)
    return source.read(columns)


def indexed(folder: Path, cells: list[str], **changes: Any) -> DatasetConfig:
    folder.mkdir(exist_ok=True)
    lines = [f'"{cell}",{CLASSES[at % 2]}' for at, cell in enumerate(cells)]
    (folder / "index.csv").write_text("\n".join(["image,label", *lines]) + "\n")
    columns = (replace(IMAGE, **changes), LABEL)
    return DatasetConfig("pets", str(folder), "images", columns, index="index.csv")


def test_rows_are_sorted_by_class_and_file_and_their_folder_is_their_class(tmp_path: Path) -> None:
    config = by_class(tmp_path / "pets")
    for place in (tmp_path / "pets", tmp_path / "pets" / "cat"):
        (place / ".DS_Store").write_bytes(b"ignored")
    source = open_source(config)
    assert source.describe().rows == 4
    read = source.read(["label", "image"])
    assert list(read) == ["label", "image"]
    assert read["label"].tolist() == ["cat", "cat", "dog", "dog"]
    assert (read["image"].dtype, read["image"].shape) == (np.uint8, (4, 4, 6, 3))
    for row in range(4):
        assert np.array_equal(read["image"][row], pixels(row))
    assert list(source.read(["label"])) == ["label"]


def test_an_index_names_files_anywhere_in_the_folder(tmp_path: Path) -> None:
    by_class(tmp_path / "pets")
    config = indexed(tmp_path / "pets", ["dog/0001.png", "cat/0000.png", "dog/0001.png"])
    read = open_source(config).read(["image", "label"])
    assert [np.array_equal(read["image"][at], pixels(n)) for at, n in enumerate((3, 0, 3))]
    assert read["label"].tolist() == ["cat", "dog", "cat"]
    assert open_source(config).describe().rows == 3


@pytest.mark.parametrize("shape", [(4, 6, 1), (4, 6, 3), (4, 6, 4)])
def test_grey_colour_and_transparency_are_read_as_declared(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    read = open_source(by_class(tmp_path / "a", shape=shape)).read(["image"])["image"]
    assert np.array_equal(read[2], pixels(2, shape))


def test_a_jpeg_is_read_like_a_png(tmp_path: Path) -> None:
    config = indexed(tmp_path / "a", ["a.jpg"])
    flat = np.full((4, 6, 3), 77, np.uint8)
    (tmp_path / "a" / "a.jpg").write_bytes(encoded(flat, "JPEG"))
    found = open_source(config).read(["image"])["image"][0]
    assert np.abs(found.astype(int) - 77).max() <= 2


def encoded_as(width: int, height: int, lines: int) -> bytes:
    """Return a sound PNG in colour whose stream ends properly after so many lines."""
    body = zlib.compress(bytes(lines * (1 + 3 * width)), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", body), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def chunk(name: bytes, data: bytes) -> bytes:
    checked = name + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


BROKEN: dict[str, tuple[bytes, str]] = {
    "of another size": (png(9, (6, 4, 3)), "its height, width and channels are [6, 4, 3]"),
    "grey": (png(9, (4, 6, 1)), "are [4, 6, 1], declared are [4, 6, 3]"),
    "cut short": (png(9)[:60], "it is damaged or cut short"),
    "empty": (b"", "it is neither a PNG nor a JPEG image"),
    "text": (b"SECRET", "it is neither a PNG nor a JPEG image"),
    "a GIF": (encoded(pixels(9), "GIF"), "it is neither a PNG nor a JPEG image"),
    "of fewer lines than it says": (encoded_as(6, 4, 3), "it is damaged or cut short"),
    "of no lines": (encoded_as(6, 4, 0), "it is damaged or cut short"),
    "a bomb": (bomb(9_000, 9_000), "[9000, 9000, 3]"),
    "a bomb beyond counting": (bomb(60_000, 60_000), "it has more than 10000 pixels"),
    "too many bytes": (png(9) + b"\0" * 100_001, "it has more than 100000 bytes"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_the_declared_image_names_row_and_file_and_counts_as_black_tolerantly(
    tmp_path: Path, name: str
) -> None:
    data, reason = BROKEN[name]
    config = by_class(tmp_path / "pets")
    (tmp_path / "pets" / "dog" / "0000.png").write_bytes(data)
    error = refused(config)
    assert (error.code, error.details["row"], error.details["column"]) == (
        "schema_mismatch", 3, "image",
    )  # fmt: skip
    assert "row 3, file dog/0000.png, column 'image'" in error.message
    assert reason in error.message
    assert "SECRET" not in f"{error.as_json()} {error.__cause__!r}"
    found = tolerant(config, "image", "label")
    assert not found["image"][2].any()
    assert np.array_equal(found["image"][3], pixels(3))
    assert found["label"].tolist() == ["cat", "cat", "dog", "dog"]


def test_pixels_are_counted_before_any_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = by_class(tmp_path / "pets")
    image = replace(config.columns[0], fit="resize")
    config = replace(config, columns=(image, LABEL))
    (tmp_path / "pets" / "cat" / "0000.png").write_bytes(bomb(9_000, 9_000))
    monkeypatch.setattr(Image.Image, "convert", _decodes)
    monkeypatch.setattr(Image.Image, "resize", _decodes)
    assert "it has more than 10000 pixels" in refused(config).message


def _decodes(*_: Any, **__: Any) -> Any:
    raise MemoryError


@pytest.mark.parametrize("size", [(1, 65_536), (65_536, 1), (1, 1 << 26)])
def test_a_side_is_bounded_too_since_each_line_takes_memory(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    width, height = size
    monkeypatch.setattr(Image.Image, "convert", _decodes)
    monkeypatch.setattr(Image.Image, "resize", _decodes)
    for column in (replace(IMAGE, fit="resize"), replace(IMAGE, shape=(height, width, 3))):
        with pytest.raises(BrokenImageError, match="wider or higher than 65,535"):
            decoded(encoded_as(width, height, 1), column, SourceLimits())
    whole = encoded(np.zeros((65_535, 1, 3), np.uint8))
    monkeypatch.undo()
    assert decoded(whole, replace(IMAGE, fit="resize"), SourceLimits()).shape == IMAGE.shape


def test_an_image_for_which_there_is_no_memory_is_a_reason_and_counts_as_black_tolerantly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = by_class(tmp_path / "pets")
    real, seen = imagefiles._pixels, iter(range(100))

    def third(image: Image.Image, declared: ColumnConfig) -> Any:
        return _decodes() if next(seen) == 2 else real(image, declared)

    monkeypatch.setattr(imagefiles, "_pixels", third)
    error = refused(config)
    assert (error.code, error.details["row"]) == ("schema_mismatch", 3)
    assert "there is not enough memory to decode it" in error.message
    seen = iter(range(100))
    found = tolerant(config, "image")["image"]
    assert not found[2].any()
    assert np.array_equal(found[3], pixels(3))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (33, 17)])
@pytest.mark.parametrize("interlaced", [False, True])
def test_lines_are_counted_as_the_decoder_does(
    mode: str, size: tuple[int, int], interlaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a stream that does not end it needs the last byte; one that ends is never short to it."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)  # printing pages sets it
    file = io.BytesIO()
    Image.new(mode, size).save(file, "PNG")
    data = bytearray(file.getvalue())
    assert imagestreams.holds_all_lines(data)
    data[28] = interlaced
    needed = imagestreams._needed(*size, data[24], data[25], 0, 0, int(interlaced))
    for missing in (False, True):
        packer = zlib.compressobj()
        body = packer.compress(bytes(needed - missing)) + packer.flush(zlib.Z_SYNC_FLUSH)
        made = data[:8] + b"".join(
            chunk(name, part)
            for name, part in (
                (b"IHDR", bytes(data[16:29])), (b"PLTE", bytes(6)), (b"IDAT", body), (b"IEND", b""),
            )
            if name != b"PLTE" or mode == "P"
        )  # fmt: skip
        with Image.open(io.BytesIO(made)) as image:
            if missing:
                with pytest.raises(OSError, match="truncated"):
                    image.load()
            else:
                image.load()
        assert imagestreams.holds_all_lines(made) is not missing


def test_scans_of_a_jpeg_are_counted_before_one_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    Image.new("RGB", (6, 4)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    scan = data[data.rfind(b"\xff\xda") : -2]
    have = data.count(b"\xff\xda")
    assert have > 1
    most = data[:-2] + scan * (100 - have) + data[-2:]
    assert decoded(most, IMAGE, LIMITS).shape == IMAGE.shape
    with pytest.raises(BrokenImageError, match="more than 100 scans"):
        decoded(data[:-2] + scan * (101 - have) + data[-2:], IMAGE, LIMITS)
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 1000) + b"\xff\xda" * 500
    film = b"\xff\xda" * 500
    assert decoded(data[:2] + comment + data[2:] + film, IMAGE, LIMITS).shape == IMAGE.shape


def test_other_sizes_and_colours_are_resized_where_the_owner_says_so(tmp_path: Path) -> None:
    config = indexed(tmp_path / "a", ["big.png", "grey.png", "same.png"], fit="resize")
    big = np.full((40, 60, 3), (10, 20, 30), np.uint8)
    (tmp_path / "a" / "big.png").write_bytes(encoded(big))
    (tmp_path / "a" / "grey.png").write_bytes(encoded(np.full((4, 6, 1), 99, np.uint8)))
    (tmp_path / "a" / "same.png").write_bytes(png(5))
    found = open_source(config).read(["image"])["image"]
    assert found[0].reshape(-1, 3).tolist() == [[10, 20, 30]] * 24
    assert found[1].reshape(-1, 3).tolist() == [[99, 99, 99]] * 24
    assert np.array_equal(found[2], pixels(5))


def test_more_than_eight_bits_are_refused_and_not_cut_off(tmp_path: Path) -> None:
    config = indexed(tmp_path / "a", ["deep.png"], shape=(4, 6, 1))
    deep = Image.fromarray(np.full((4, 6), 40_000, np.uint16))
    deep.save(tmp_path / "a" / "deep.png")
    assert "more than 8 bits a channel" in refused(config).message


@pytest.mark.parametrize(
    "place", ["../secret.png", "/etc/hostname", "cat/../../secret.png", "cat/./0000.png", "",
              "cat//0000.png", "link.png", "linked/secret.png", "pipe", "absent.png", "cat",
              "nul\\0.png"],
)  # fmt: skip
def test_no_name_in_an_index_leads_outside_of_the_folder(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "pets"
    by_class(folder)
    outside = tmp_path / "outside"
    outside.mkdir()
    for secret in (tmp_path / "secret.png", outside / "secret.png"):
        secret.write_bytes(png(0))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "linked").symlink_to(outside)
    os.mkfifo(folder / "pipe")
    config = indexed(folder, ["cat/0000.png", place.replace("\\0", "\0")])
    error = refused(config)
    assert (error.code, error.details["row"]) == ("schema_mismatch", 2)
    found = tolerant(config, "image")["image"]
    assert np.array_equal(found[0], pixels(0))
    assert not found[1].any()


def test_links_and_pipes_in_a_class_are_refused_by_name(tmp_path: Path) -> None:
    config = by_class(tmp_path / "pets")
    (tmp_path / "secret.png").write_bytes(png(0))
    (tmp_path / "pets" / "cat" / "z.png").symlink_to(tmp_path / "secret.png")
    assert "file cat/z.png, column 'image': it is a link" in refused(config).message
    found = tolerant(config, "image", "label")
    assert len(found["image"]) == len(found["label"]) == 5
    assert not found["image"][2].any()
    (tmp_path / "pets" / "cat" / "z.png").unlink()
    os.mkfifo(tmp_path / "pets" / "cat" / "z.png")
    assert "file cat/z.png, column 'image': it is a link or no regular" in refused(config).message


def test_what_is_no_row_is_refused_strictly_and_left_out_tolerantly(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    config = by_class(folder)
    (folder / "readme.txt").write_text("SECRET")
    assert "file readme.txt, column 'image': it is not in the folder" in refused(config).message
    assert len(tolerant(config, "image")["image"]) == 4
    (folder / "readme.txt").unlink()
    (folder / "dog" / "more").mkdir()
    assert "file dog/more, column 'image': a class has no folders" in refused(config).message
    assert len(tolerant(config, "image")["image"]) == 4
    (folder / "dog" / "more").rmdir()
    (folder / "wolf").mkdir()
    (folder / "wolf" / "a.png").write_bytes(png(9))
    error = refused(config)
    assert (error.details["row"], error.details["column"]) == (5, "label")
    assert tolerant(config, "label")["label"].tolist()[-2:] == ["dog", None]


def test_rows_and_memory_are_bounded_before_an_image_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = by_class(tmp_path / "pets")
    from secureflow.adapters.datasources import image_folder

    monkeypatch.setattr(image_folder, "decoded", _decodes)
    assert refused(config, max_rows=3).code == "dataset_too_large"
    assert refused(config, max_bytes=4 * 72).code == "dataset_too_large"
    with pytest.raises(MemoryError):
        open_source(config, replace(LIMITS, max_bytes=4 * 80)).read(["image", "label"])
    by_index = indexed(tmp_path / "pets", ["cat/0000.png"] * 4)
    assert refused(by_index, max_bytes=4 * 72).code == "dataset_too_large"


def test_an_index_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    config = indexed(tmp_path / "pets", ["a.png"])
    index = tmp_path / "pets" / "index.csv"
    index.rename(tmp_path / "elsewhere.csv")
    index.symlink_to(tmp_path / "elsewhere.csv")
    assert refused(config).code == "dataset_unreadable"


@pytest.mark.parametrize("other", ["link", "pipe"])
def test_an_index_that_became_something_else_since_it_was_checked_is_not_read(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.csv").write_text("image,label\n0000.png,cat\n")
    config = indexed(tmp_path / "pets", ["cat.png"])
    index = tmp_path / "pets" / str(config.index)
    source = open_source(config)
    source.check(["label"])
    index.unlink()
    index.symlink_to(tmp_path / "secret.csv") if other == "link" else os.mkfifo(index)
    monkeypatch.setattr(type(source), "check", lambda self, columns: None)
    for name in ("label", "image"):
        with pytest.raises(SecureFlowError) as caught:
            source.read([name])
        assert caught.value.code == "dataset_unreadable"


def test_a_missing_decoder_is_named_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    error = refused(by_class(tmp_path / "pets"))
    assert error.code == "library_missing"
    assert "[images]" in error.hint
    assert "'pets'" in error.message


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_bytes_are_an_image_or_a_reason(data: st.DataObject) -> None:
    """Headers and bodies with changed, missing and added bytes."""
    kind = data.draw(st.sampled_from(["PNG", "JPEG"]))
    whole = bytearray(encoded(pixels(data.draw(st.integers(0, 3))), kind))
    for at, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=6)
    ):
        whole[at] = byte
    cut = data.draw(st.integers(0, len(whole)))
    damaged = bytes(whole[:cut]) + data.draw(st.binary(max_size=8))
    for column in (IMAGE, replace(IMAGE, fit="resize")):
        try:
            assert decoded(damaged, column, LIMITS).shape == (4, 6, 3)
        except BrokenImageError as error:
            assert error.reason  # noqa: PT017
    assert header(damaged) is None or len(header(damaged) or ()) == 3


def test_a_column_without_images_needs_no_decoder() -> None:
    plain = DatasetConfig("a", "/x", "parquet", (ColumnConfig("a", "number"),))
    held = DatasetConfig("a", "/x", "arrays", (IMAGE,))
    assert (plain.decodes, held.decodes) == (False, False)
    assert replace(held, format="parquet").decodes
