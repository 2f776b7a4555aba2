"""Files and folders are there whole or not at all."""

import pytest

from host.atomic import folder_aside, write_text, written_aside


def test_a_file_takes_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "plan.json"
    write_text(path, "one")
    with pytest.raises(ZeroDivisionError), written_aside(path) as aside:
        aside.write_text(f"half {1 / 0}")
    assert path.read_text() == "one"
    assert [file.name for file in path.parent.iterdir()] == ["plan.json"]


def test_a_planted_link_is_replaced_and_never_followed(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "out").symlink_to(tmp_path / "victim")
    write_text(tmp_path / "out", "theirs")
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_folder_that_holds_something_is_not_replaced(tmp_path):
    with folder_aside(tmp_path / "plan") as aside:
        (aside / "plan.json").write_text("{}")
    with pytest.raises(FileExistsError, match="is there already"), folder_aside(tmp_path / "plan"):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["plan"]
