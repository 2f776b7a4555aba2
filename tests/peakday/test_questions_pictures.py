"""A picture that a target would leave out is refused before anything starts."""

import json

import pytest

from peakday.cli import main

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("picture", "target", "said"),
    [
        ("data:image/png;base64,AA==", "http=text:http://127.0.0.1:9/x", "http targets send them with chat"),
        ("https://x.example/a.png", "bedrock=http://127.0.0.1:9", "take pictures as files, not as addresses"),
    ],
)
def test_a_picture_that_a_target_does_not_send_is_refused(tmp_path, capsys, picture, target, said):
    path = tmp_path / "q.json"
    path.write_text(json.dumps([{"text": "what is it?", "image": picture}]))
    words = ["run", "smoke", "--rate", "1/s", "--for", "5s", "--questions", str(path), "--target", target]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--model", "m", "--dry-run"])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
