"""Text files as people have them: what a file holds decides, never its name."""

import gzip
import os

import pytest

from host.files import FileError, open_text, read_text

TEXT = "name: café\nrate: 3\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("packed", [False, True])
def test_text_is_read_in_the_encoding_it_is_in(tmp_path, encoding, packed):
    """A byte order mark or two bytes a letter tell; gzip is unpacked under any name."""
    data = TEXT.encode(encoding)
    file = tmp_path / "file.yaml"
    file.write_bytes(gzip.compress(data) if packed else data)
    assert read_text(file) == TEXT


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("naïve".encode("latin-1"), "neither UTF-8 nor marked as UTF-16"),
        (gzip.compress(b"x" * 1000)[:-12], "cannot be unpacked"),
        (b"\x1f\x8bnot gzip at all", "cannot be unpacked"),
        (b"PK\3\4\0", "no text"),
        (gzip.compress(b"\0" * 10_000_000), "larger than 1,000,000 characters"),
        (b"a" * 1_000_001, "larger than 1,000,000 characters"),
    ],
    ids=["latin-1", "cut gzip", "no gzip", "an archive", "gzip bomb", "large"],
)
def test_what_cannot_be_read_is_one_line_with_the_file(tmp_path, data, problem):
    file = tmp_path / "file.yaml"
    file.write_bytes(data)
    with pytest.raises(FileError) as caught:
        read_text(file)
    assert str(caught.value).startswith(f"{file}: {problem}")


def test_a_missing_file_and_a_folder_say_so(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        read_text(tmp_path / "none")
    with pytest.raises(FileError, match="no regular file"):
        read_text(tmp_path)


def test_a_pipe_is_no_file_to_wait_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="no regular file"):
        read_text(tmp_path / "pipe")


def test_line_ends_are_left_to_the_reader(tmp_path):
    (tmp_path / "file.csv").write_bytes(b'a,"b\r\nc"\r\n')
    with open_text(tmp_path / "file.csv") as stream:
        assert stream.read() == 'a,"b\r\nc"\r\n'
