"""`spool operations`: all that are known, those that do not load too, or all about one."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from spoolcalc.render.catalogue import FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Commands, Ran

#: A package that offers one operation that is declared, and one that does not load.
MODULE = '''\
from decimal import Decimal
from typing import Literal

from spoolcalc import Context, operation


@operation
def convert(
    amount: Decimal, context: Context, to: Literal["eur", "usd"] = "eur", *tags: str
) -> str:
    """AMOUNT in the currency TO.

    With a \\x1b[2J that no terminal should get.
    """
    return f"{amount} {to}"
'''
SHEET = """\
convert AMOUNT [TO] [TAGS...]

AMOUNT in the currency TO.

With a \\x1b[2J that no terminal should get.

  AMOUNT     a number
  [TO]       one of eur, usd
  [TAGS...]  any text

from: rates-of-mine 2.1
"""


@pytest.fixture
def package(tmp_path: Path, commands: Commands) -> dict[str, str]:
    """Return the environment in which the package is installed."""
    place = tmp_path / "site"
    described = place / "rates_of_mine-2.1.dist-info"
    described.mkdir(parents=True)
    (place / "rates_of_mine.py").write_text(MODULE)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: rates-of-mine\nVersion: 2.1")
    (described / "entry_points.txt").write_text(
        "[spoolcalc.operations]\nconvert = rates_of_mine:convert\nbroken = rates_of_mine:gone\n"
    )
    return {"PYTHONPATH": f"{place}{os.pathsep}{commands.environment['PYTHONPATH']}"}


def lines(text: str) -> dict[str, dict[str, str | None]]:
    """Return the lines of the list, as a script would read them."""
    rows = []
    for line in text.splitlines():
        fields = [None if field == "-" else field for field in line.split("\t")]
        rows.append(dict(zip(FIELDS, fields, strict=True)))
    return {str(row["name"]): row for row in rows}


def test_the_list_in_a_pipe(run: Callable[..., Ran], package: dict[str, str]) -> None:
    """A line for each operation, by name; a broken one says why and hides no other."""
    ended = run("operations", env=package)
    told = lines(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(told) == sorted(told)
    assert {"add", "exec", "convert", "broken"} <= set(told)
    assert told["add"] == dict(
        zip(FIELDS, ["add", "A B", "A plus B", None, None, None], strict=True)
    )
    assert told["convert"]["usage"] == "AMOUNT [TO] [TAGS...]"
    assert told["convert"]["help"] == "AMOUNT in the currency TO."
    assert (told["convert"]["package"], told["convert"]["version"]) == ("rates-of-mine", "2.1")
    assert told["broken"]["usage"] is None
    assert told["broken"]["package"] == "rates-of-mine"
    assert "has no attribute 'gone'" in str(told["broken"]["error"])


def test_the_list_on_a_terminal(commands: Commands, package: dict[str, str]) -> None:
    """A table, in the width that there is."""
    commands.environment.update(package)
    ended = commands.on_terminal("operations", columns=120)
    assert ended.returncode == 0
    rows = ended.stdout.splitlines()
    assert rows[0].split() == ["operation", "what", "it", "gives", "from"]
    [row] = [row for row in rows if row.startswith("convert ")]
    assert "AMOUNT in the currency TO." in row
    assert row.endswith("rates-of-mine 2.1")
    [row] = [row for row in rows if row.startswith("broken ")]
    assert "! the operation 'broken' cannot be loaded" in row
    assert all(len(row) <= 120 for row in rows)


def test_the_list_for_a_program(run: Callable[..., Ran], package: dict[str, str]) -> None:
    """The same by name, with the docstring and the operands that a function declares."""
    answer = json.loads(run("operations", "--json", env=package).stdout)
    assert answer["schema"] == 1
    told = {entry["name"]: entry for entry in answer["operations"]}
    assert told["sqrt"]["operands"] is None
    assert told["sqrt"]["package"] is None
    assert told["broken"]["error"]
    assert told["convert"]["doc"].startswith("AMOUNT in the currency TO.\n\nWith a \x1b")
    assert told["convert"]["operands"][1] == {
        "name": "to",
        "expected": "one of eur, usd",
        "required": False,
        "repeated": False,
    }


def test_all_about_one(run: Callable[..., Ran], package: dict[str, str]) -> None:
    """A page to read, with nothing in it that a terminal would obey."""
    ended = run("operations", "convert", env=package)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, SHEET, "")
    [told] = json.loads(run("operations", "convert", "--json", env=package).stdout)["operations"]
    assert told["name"] == "convert"


def test_all_about_a_built_in_one(run: Callable[..., Ran]) -> None:
    """It has no more to say than its line."""
    assert run("operations", "add").stdout == "add A B\n\nA plus B\n\nfrom: built in\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [("ad", "unknown operation 'ad'"), ("broken", "'broken' cannot be loaded from")],
)
def test_all_about_none(
    name: str, message: str, run: Callable[..., Ran], package: dict[str, str]
) -> None:
    """What submit would say."""
    ended = run("operations", name, env=package)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert message in ended.stderr


def test_no_spool_and_no_home_is_needed(run: Callable[..., Ran], commands: Commands) -> None:
    """And none is made."""
    ended = run("operations", "add", env={"SPOOL_DIR": None, "HOME": None})
    assert ended.returncode == 0
    assert not commands.spool.exists()


def test_a_declared_operation_is_checked_at_submit_and_run(
    run: Callable[..., Ran], package: dict[str, str]
) -> None:
    """From the command line to its result."""
    ended = run("submit", "convert", "x", env=package)
    assert ended.returncode == 2
    assert "operand 1 of convert (AMOUNT) is not a number: 'x'" in ended.stderr
    ended = run("submit", "convert", "1.50", "gbp", env=package)
    assert "operand 2 of convert (TO) is none of its choices: 'gbp'" in ended.stderr
    assert "It is one of eur, usd." in ended.stderr
    job_id = run("submit", "convert", "1.50", "usd", env=package).stdout.strip()
    assert run("work", "--once", "-q", env=package).returncode == 0
    assert run("fetch", job_id).stdout == "1.50 usd\n"


def test_what_a_package_says_as_it_is_imported_goes_to_stderr(
    run: Callable[..., Ran], package: dict[str, str], tmp_path: Path
) -> None:
    """Stdout is for the id, alone."""
    loud = "import os\nprint('printed')\nos.write(1, b'written\\n')\n"
    (tmp_path / "site" / "rates_of_mine.py").write_text(loud + MODULE)
    for arguments in (["convert", "1"], ["--label", "mine", "convert", "1"]):
        ran = run("submit", *arguments, env=package)
        assert (ran.returncode, len(ran.stdout.split())) == (0, 1), ran
        assert sorted(ran.stderr.split()) == ["printed", "written"]
