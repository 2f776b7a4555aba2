"""A page of HTML is told from an answer, and its words are read."""

import pytest

from wire.html_text import is_page, page_words


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("<html><head><title>503 Busy</title></head><body><h1>503 Busy</h1><hr>nginx</body>", "503 Busy nginx"),
        ("<!DOCTYPE html><title>Sign in</title><style>p {color: red}</style><form>", "Sign in"),
        ("<!doctype html><title>R&amp;D</title><body>Enter <b>your</b> PIN<script>x()", "R&D Enter your PIN"),
        ("\ufeff\n<HTML><!-- build 7 --><p>Gone</HTML>", "Gone"),
        ("<html><head><title>cut of", "cut of"),
    ],
)
def test_a_page_says_what_a_person_reads(page, words):
    assert is_page(page)
    assert page_words(page) == words


@pytest.mark.parametrize("answer", ["<think>hm</think> yes", "data: <html>", "{}", "", "<b>It</b> ships", "html"])
def test_an_answer_is_no_page(answer):
    assert not is_page(answer)
