"""The study injects changes into the sources as they are today."""

import pytest

from tests.peakday.check.study import CASES, ROOT


@pytest.mark.checkout
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_to_be_changed_is_there_once(case):
    text = (ROOT / case.file).read_text()
    assert not case.old or text.count(case.old) == 1
