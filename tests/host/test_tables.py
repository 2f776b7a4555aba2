"""Tables as people save them: what stands between cells, marks, comments and widths."""

import gzip

import pytest

from host.files import FileError
from host.tables import ROW_CHARS_MAX, columns_of, is_grouped, table_rows


def rows_of(tmp_path, text, encoding="utf-8"):
    (tmp_path / "t.csv").write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return list(table_rows(tmp_path / "t.csv"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_usual_form_gives_the_same_rows(tmp_path, delimiter, encoding):
    text = f"a{delimiter} b\r\n1{delimiter} x \r\n\r\n2{delimiter}\r\n"
    assert rows_of(tmp_path, text, encoding) == [(2, {"a": "1", "b": "x"}), (4, {"a": "2", "b": ""})]


def test_gzip_is_unpacked_whatever_the_name(tmp_path):
    assert rows_of(tmp_path, gzip.compress(b"a,b\n1,2\n")) == [(2, {"a": "1", "b": "2"})]


def test_a_decimal_comma_is_one_only_between_semicolons(tmp_path):
    assert rows_of(tmp_path, "a;b\n0,5;1,5e\n") == [(2, {"a": "0.5", "b": "1,5e"})]


def test_comments_and_a_separator_line_come_before_the_header(tmp_path):
    assert rows_of(tmp_path, "# source: us\n\na,b\n1,2\n") == [(4, {"a": "1", "b": "2"})]
    assert rows_of(tmp_path, "sep=;\na;b\n1;2\n") == [(3, {"a": "1", "b": "2"})]


def test_a_quoted_cell_may_hold_what_separates(tmp_path):
    assert rows_of(tmp_path, 'a,b\n"1,5","x\ny"\n') == [(3, {"a": "1,5", "b": "x\ny"})]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,b\n1\n", "line 2: 1 of 2 cells"),
        ("a,b\n1,2,3\n", "line 2: 3 of 2 cells; quote a cell that holds a comma"),
        ("a,a\n1,2\n", "column 'a' stands twice"),
        (b"a,b\n\xe9,2\n", "neither UTF-8 nor"),
        ("a,b\n" + "x" * 200_000 + ",1\n", "no CSV"),
    ],
)
def test_a_table_that_is_none_is_one_line(tmp_path, text, problem):
    with pytest.raises(FileError) as caught:
        rows_of(tmp_path, text)
    assert problem in str(caught.value)


def test_the_columns_of_an_empty_file_are_none(tmp_path):
    (tmp_path / "t.csv").write_text("")
    assert columns_of(tmp_path / "t.csv") == []


def test_a_table_of_one_endless_line_is_one_line(tmp_path):
    """Its columns alone are asked for too: a packed file of a few kilobytes may hold gigabytes."""
    for length in (200_000, ROW_CHARS_MAX + 1):
        (tmp_path / "t.csv").write_text("0" * length)
        with pytest.raises(FileError, match=r"t\.csv: (no CSV|line 1: longer than)"):
            columns_of(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("cell", "grouped"),
    [("1.000", True), ("12.345", True), ("1.234.567", True), ("1 000", True), ("1\u202f000", True), ("1'000", True),
     ("1000", False), ("1000.5", False), ("1.5", False), ("0.0001", False), ("1.0000", False), (1.0, False)],
)  # fmt: skip
def test_a_mark_of_thousands_is_told_from_a_decimal_point(cell, grouped):
    """`1,000` in a table of semicolons is read as `1.000`: as a count it would be one."""
    assert is_grouped(cell) is grouped
