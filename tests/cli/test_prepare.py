"""`seqrec prepare`: what a person sees, and what is left when something goes wrong."""

import json
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from seqrec_plugin import atomic, cli
from tests.conftest import random_rows

SEQREC = [sys.executable, "-m", "seqrec_plugin.cli"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [(user, item.replace('"', '""'), time) for user, item, time in random_rows()]
    text = "".join(
        f'{user},"{item}",{time},{["pv", "buy"][n % 2]},{n % 9}.5\n' for n, (user, item, time) in enumerate(rows)
    )
    (tmp_path / "events.csv").write_text("customer,sku,at,what,price\n" + text, encoding="utf-8")
    return tmp_path


def seqrec(*words):
    return CliRunner().invoke(cli.main, ["prepare", *words])


NAMED = ["--user", "customer", "--item", "sku", "--time", "at", "--behavior", "what", "--value", "price"]


def test_the_steps_are_on_stdout_and_the_rest_is_not(here):
    done = seqrec("events.csv", "-o", "data/shop", *NAMED)
    assert done.exit_code == 0, done.output
    events = sum(1 for _ in random_rows())
    table = [line.split() for line in done.stdout.splitlines()]
    assert table[0] == ["step", "removed", "events", "users", "items"]
    assert table[1] == ["read", "0", f"{events:,}", "60", "40"]
    assert table[-1][0] == "data/shop:"
    assert "pv → view, buy → purchase" in done.stderr
    assert {"shop.inter", "shop.yaml", "recipe.yaml", "report.html", "report.json"} <= {
        path.name for path in (here / "data" / "shop").iterdir()
    }
    table = atomic.read(here / "data" / "shop" / "shop.inter")
    assert sorted(
        zip(table.column("user_id"), table.column("item_id"), table.column("timestamp"), strict=True)
    ) == sorted(random_rows())
    assert [path.name for path in (here / "data").iterdir()] == ["shop"]


def test_json_is_the_report(here):
    done = seqrec("events.csv", "-o", "data/shop", *NAMED, "--json")
    assert json.loads(done.stdout) == json.loads((here / "data" / "shop" / "report.json").read_bytes())


def test_the_same_bytes_whatever_the_threads(here):
    for name, threads in (("a", "1"), ("b", "2")):
        assert seqrec("events.csv", "-o", f"{name}/shop", *NAMED, "--threads", threads).exit_code == 0
    assert {path.name: path.read_bytes() for path in (here / "a" / "shop").iterdir()} == {
        path.name: path.read_bytes() for path in (here / "b" / "shop").iterdir()
    }


def test_a_parquet_file_gives_the_same_events(here):
    import duckdb

    duckdb.sql("COPY (FROM read_csv('events.csv', all_varchar = true)) TO 'events.parquet'")
    for name in ("events.csv", "events.parquet"):
        assert seqrec(name, "-o", f"{name[7]}/shop", *NAMED).exit_code == 0
    assert (here / "c" / "shop" / "shop.inter").read_bytes() == (here / "p" / "shop" / "shop.inter").read_bytes()


def test_a_recipe_and_the_command_line_which_wins(here):
    (here / "r.yaml").write_text("source: {user: nobody}\nmin_users_per_item: 999\nk_core: {user: 2}\n")
    done = seqrec("events.csv", "-o", "data/shop", *NAMED, "--recipe", "r.yaml", "--min-users-per-item", "2")
    assert done.exit_code == 0, done.output
    assert "k-core" in done.stdout and "items of few users" in done.stdout


@pytest.mark.parametrize(
    ("words", "recipe", "code", "said"),
    [
        ([], "k_core: {user: 1000}", 3, "Nothing is left"),
        (["--user", "custmer"], "", 3, "customer"),
        (["--pseudonymize"], "", 2, "SEQREC_KEY"),
        ([], "duplicats: true", 2, "'duplicates'"),
        (["--memory", "much"], "", 2, "memory"),
    ],
)
def test_a_mistake_leaves_nothing(here, monkeypatch, words, recipe, code, said):
    monkeypatch.delenv("SEQREC_KEY", raising=False)
    (here / "r.yaml").write_text(recipe)
    done = seqrec("events.csv", "-o", "data/shop", "--recipe", "r.yaml", *NAMED, *words)
    assert done.exit_code == code, done.output
    assert said in done.stderr
    assert not (here / "data").exists() or not list((here / "data").iterdir())


def test_what_is_there_is_replaced_only_on_demand(here):
    assert seqrec("events.csv", "-o", "data/shop", *NAMED).exit_code == 0
    again = seqrec("events.csv", "-o", "data/shop", *NAMED)
    assert (again.exit_code, "--force" in again.stderr) == (2, True)
    assert seqrec("events.csv", "-o", "data/shop", *NAMED, "--force").exit_code == 0


def test_pseudonyms_leave_no_user_anywhere(here):
    (here / "key").write_text("0123456789abcdef\n")
    with (here / "events.csv").open("a") as file:
        file.write("u1,x,no time,pv,1\nu2,x,1700000000,pv,1,too,many\n")
    done = seqrec("events.csv", "-o", "data/shop", *NAMED, "--key-file", "key")
    assert done.exit_code == 0, done.output
    ids = {user for user, _, _ in random_rows()}
    for path in (here / "data" / "shop").iterdir():
        words = set(path.read_text(encoding="utf-8").replace(",", " ").replace('"', " ").split())
        assert not words & ids, path.name
        assert "0123456789abcdef" not in path.read_text(encoding="utf-8")


def many(file, rows):
    with file.open("w") as out:
        out.write("customer,sku,at,what,price\n")
        out.writelines(f"u{n % 5000},i{n * 7 % 999},{1_700_000_000 + n},pv,1\n" for n in range(rows))


@pytest.mark.parametrize("kilobytes", [8, 300, 1200])
def test_a_full_disk(here, kilobytes):
    """A limit on the size of a file stands for the disk: the same calls fail, be it at the beginning or at the end."""
    many(here / "many.csv", 50_000)
    limited = ["bash", "-c", f'ulimit -f {kilobytes}; exec "$0" "$@"', *SEQREC]
    done = subprocess.run([*limited, "prepare", "many.csv", "-o", "data/shop", *NAMED], capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert "no space left on the disk" in done.stderr and "Traceback" not in done.stderr
    assert not list((here / "data").iterdir())


def test_ctrl_c_leaves_nothing(here):
    many(here / "many.csv", 400_000)
    command = [*SEQREC, "prepare", "many.csv", "-o", "data/shop", *NAMED]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert running.stderr.readline()  # it has begun
    running.send_signal(signal.SIGINT)
    assert running.wait() == 130, running.stderr.read()
    assert not list((here / "data").iterdir())


def test_a_public_format_brings_its_columns_and_its_behaviours(here):
    rows = [f"{n % 5},{n % 3},9,{['pv', 'buy'][n % 2]},{1_511_600_000 + n}" for n in range(40)]
    (here / "UserBehavior.csv").write_text("\n".join(rows) + "\n")
    done = seqrec("UserBehavior.csv", "-o", "data/taobao", "--from", "taobao")
    assert done.exit_code == 0, done.output
    table = atomic.read(here / "data" / "taobao" / "taobao.inter")
    assert (len(table), set(table.column("behavior"))) == (40, {"view", "purchase"})
    assert seqrec("UserBehavior.csv", "-o", "data/x", "--from", "taobo").exit_code == 2


def test_what_is_told_of_the_files_is_in_the_resolved_recipe_and_makes_the_same_again(here):
    done = seqrec("events.csv", "-o", "data/shop")
    assert done.exit_code == 0, done.output
    resolved = here / "data" / "shop" / "recipe.yaml"
    assert seqrec("events.csv", "-o", "again/shop", "--recipe", str(resolved)).exit_code == 0
    for name in ("shop.inter", "shop.yaml", "recipe.yaml"):
        assert (here / "again" / "shop" / name).read_bytes() == (here / "data" / "shop" / name).read_bytes()
