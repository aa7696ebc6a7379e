"""The engine's folder is gone at the end, however it ends, and what hinders it is one sentence."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.preparing.engine import engine


def test_the_folder_is_beside_the_output_and_gone_at_the_end(tmp_path):
    with engine(tmp_path, "100MB") as connection:
        connection.execute("CREATE TABLE t AS SELECT 1")
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="mine"), engine(tmp_path):
        raise ValueError("mine")
    assert list(tmp_path.iterdir()) == []


def test_what_is_larger_than_memory_goes_to_disk(tmp_path):
    with engine(tmp_path, "60MB", threads=1) as connection:
        connection.execute("CREATE TEMP TABLE t AS SELECT range::VARCHAR || repeat('x', 20) AS v FROM range(4000000)")
        assert connection.execute("SELECT count(DISTINCT v[:6]) FROM t").fetchone()[0] > 0


def test_too_little_memory_says_what_to_do(tmp_path):
    with pytest.raises(WrongUsage, match="--memory"), engine(tmp_path, "20MB", threads=1) as connection:
        connection.execute("SELECT list(range::VARCHAR) FROM range(10000000)").fetchone()
    with pytest.raises(WrongUsage, match="'much' is none"), engine(tmp_path, "much"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_sentence(tmp_path, number):
    with pytest.raises(BadData, match="no space left") as error, engine(tmp_path):
        raise OSError(number, os.strerror(number))
    assert (error.value.code, error.value.exit_code) == ("output_unwritable", 3)


def test_a_disk_that_fills_up_under_the_engine(tmp_path):
    with pytest.raises(BadData, match="no space left"), engine(tmp_path, "60MB", threads=1) as connection:
        connection.execute("SET max_temp_directory_size = '1MB'")
        connection.execute("CREATE TEMP TABLE t AS SELECT range::VARCHAR || repeat('x', 20) AS v FROM range(9000000)")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(BadData, match="cannot be written"), engine(tmp_path / "none"):
        pass


def test_ctrl_c_in_a_long_query_leaves_nothing(tmp_path):
    code = f"""
from pathlib import Path
from seqrec_plugin.preparing.engine import engine
with engine(Path({str(tmp_path)!r}), threads=1) as connection:
    print("ready", flush=True)
    connection.execute("SELECT count(*) FROM range(10000000000) a, range(1000) b WHERE hash(a.range + b.range) = 1")
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert list(tmp_path.iterdir()) == []
