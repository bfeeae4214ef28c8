from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from mimic_server.domain.errors import PreconditionError
from mimic_server.storage import DataDirectory, SqlStorage

_HOLD = """
import sys
from pathlib import Path
from mimic_server.storage import DataDirectory
DataDirectory.open(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with DataDirectory.open(tmp_path / "a" / "data") as data:
        assert stat.S_IMODE(data.path.stat().st_mode) == 0o700


async def test_its_database_can_be_opened(tmp_path: Path) -> None:
    with DataDirectory.open(tmp_path / "with space % and é") as data:
        storage = await SqlStorage.open(data.database_url)
        await storage.close()
        assert (data.path / "mimic.db").exists()


def test_a_second_server_is_kept_out_until_the_first_ends_however_it_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(PreconditionError) as refused:
            DataDirectory.open(tmp_path)
        assert refused.value.reason == "DATA_DIRECTORY_IN_USE"
        assert str(first.pid) in refused.value.message
        assert "\n" not in refused.value.message
        first.kill()
        first.wait()
    DataDirectory.open(tmp_path).close()


def test_it_is_kept_from_a_second_one_in_the_same_process_too(tmp_path: Path) -> None:
    first = DataDirectory.open(tmp_path)
    with pytest.raises(PreconditionError):
        DataDirectory.open(tmp_path)
    first.close()
    first.close()
    DataDirectory.open(tmp_path).close()


def test_what_is_no_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PreconditionError) as refused:
        DataDirectory.open(tmp_path / "file")
    assert refused.value.reason == "DATA_DIRECTORY_UNUSABLE"
