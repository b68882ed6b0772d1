import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kerasd2l.export.publish import publish, workspace

PUBLISH = """
import pathlib, sys
from kerasd2l.export.publish import publish, workspace

for i in range(25):
    try:
        with workspace(pathlib.Path(sys.argv[1])) as folder:
            (folder / "sub").mkdir()
            if i % 3 == 2:
                raise InterruptedError
            publish(folder, lambda n: (folder / "number").write_text(str(n)))
    except InterruptedError:
        pass
"""


def test_processes_at_once_lose_nothing(tmp_path):
    parent = tmp_path / "savedmodels" / "m"

    def start(_):
        return subprocess.run([sys.executable, "-c", PUBLISH, str(parent)], check=True)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    folders = sorted(parent.iterdir(), key=lambda path: int(path.name))
    assert [path.name for path in folders] == [str(n) for n in range(1, 4 * 17 + 1)]
    for path in folders:
        assert (path / "number").read_text() == path.name
        assert (path / "sub").is_dir()


def test_folders_of_others_are_not_taken_away(tmp_path):
    (tmp_path / "m").mkdir()
    with workspace(tmp_path / "m"):
        pass
    assert (tmp_path / "m").is_dir()
    with workspace(tmp_path / "new" / "m") as folder:
        publish(folder, lambda number: None)
    assert [path.name for path in (tmp_path / "new" / "m").iterdir()] == ["1"]


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "m").write_text("x")
    with pytest.raises(FileExistsError), workspace(tmp_path / "m"):
        pass
    with pytest.raises(OSError), workspace(tmp_path / "m" / "below"):
        pass


def test_a_parent_taken_away_by_another_process_is_made_again(tmp_path, monkeypatch):
    parent, mkdir, taken = tmp_path / "m", Path.mkdir, []

    def interrupted(path, *args, **options):
        if path.name.startswith(".tmp-") and not taken:
            taken.append(path)
            parent.rmdir()
        mkdir(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", interrupted)
    with workspace(parent) as folder:
        assert folder.is_dir() and folder != taken[0]
