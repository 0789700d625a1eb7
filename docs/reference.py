"""Writes docs/cli.md from the command's own help: ``docs/reference.py``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from spoolcalc.cli import COMMANDS

PAGE = Path(__file__).with_name("cli.md")

HEAD = """\
# The command line

<!-- Made from the command's own help by `make docs`. -->

stdout carries the answer and nothing else; everything for people goes to stderr. In a pipe answers
are plain lines, on a terminal tables, and with `--json` one object with `"schema": 1`, whose times
are RFC 3339, UTC. In plain lines the fields are separated by tabs, a field without a value is `-`,
and tab, newline and backslash in a value are written `\\t`, `\\n`, `\\\\`, other control characters
`\\r` or `\\x1b`.

## Exit codes

One table for every command:

| code | meaning |
|---|---|
| 0 | ok |
| 1 | the job failed |
| 2 | usage: the request is wrong, and nothing was written |
| 3 | no such job |
| 4 | not finished, yet or within the time |
| 5 | the job was cancelled |
| 7 | the spool cannot be used (missing, permission, disk full, newer format, wrong `spool.toml`, \
beyond a ceiling), or stdout cannot, or the job cannot be read (any more) |
| 70 | a bug of ours; the message says how to report it |
| 130 | interrupted |

For several ids it is the highest. Treat an unknown code as a failure. Two commands give a verdict
by theirs, as monitoring systems expect it: `doctor` 0 well, 1 warning, 2 critical, and `torture` 0
passed, 1 inconclusive, 2 broken.

## Names in place of ids

What takes an id also takes the name of a job that another program asked for by a file in
[`inbox/`](format.md#the-inbox). `status` and `fetch` say "not adopted yet", with code 4, until a
worker has seen to the file, and `wait` and `fetch --wait` wait for that too. If the file was no
job, they say why, with code 2. A job to wait for, in `--after` and `@ID`, is given by its id alone,
which `spool status NAME | cut -f 1` prints.

## Ids from stdin

Where a command takes ids, `-` stands for those on stdin: the first field of each line, so that
`spool status --state failed | spool wait -` works, and so does the list that `submit --from`
prints.

## The fields of a job

`spool status ID` in a pipe has these, in this order: id, state, operation, operands, submitted,
last updated, number of attempts, worker, completed on, result, error, label, key, timeout, retries,
not before, after (`ID:ok` or `ID:any`, commas between), exit code, progress. New ones are added at
the end. `--json` has them by name, every attempt with its error by itself, `exact` and `precision`
of a computed result, the `reason` of a failure, and of a command its `command` (where it runs, what
is added to its environment, its stdin) and `output` (the files that keep what it writes).

## The lines of an overview

`spool status` in a pipe: each state with its number of jobs, `corrupt`, `inbox` (files that are no
jobs yet), `oldest_pending_seconds`
(`-` if nothing is pending), `workers` with their number, and for each worker a line `worker` with
its name, host, process id, start, and the ids of its jobs. `paused` has since when and the reason,
or `-`.

## Commands as jobs

`spool submit [OPTIONS] exec COMMAND [ARGUMENT...]`: everything behind `exec` is the command's, so
that options of `spool` stand before it; a lone `--` in front of the command is allowed. It will run
in the directory in which it was submitted. `spool fetch` gives what it wrote to stdout, byte by
byte, and so does `spool logs`, which can follow it while it runs; `--exit-code` hands its exit code
on (128 + N if signal N ended it).

## The fields of an operation

`spool operations` in a pipe has these, in this order: name, usage, help, package, version, error.
The package of a built-in operation is `-`; an error tells why one does not load. `--json` has them
by name, with the whole docstring as `doc`, and the `operands` that a function declares.

## The settings

`spool config` in a pipe has a line for each setting: its name, its value, and where that comes
from: `built in`, the name of a variable, or the file and the line. `--json` has the value in
seconds or bytes too, `null` for no limit. [operations.md](operations.md#settings) tells of each.

## Shell completion

`spool --install-completion` sets it up for your shell; ids and operations are completed too.
"""


def page() -> str:
    """Return the page as the command's help now says it."""
    parts = [HEAD]
    for command in ("", *COMMANDS):
        said = subprocess.run(
            [sys.executable, "-c", "from spoolcalc.entry import main; main()"]
            + ([command] if command else [])
            + ["--help"],
            env={**os.environ, "COLUMNS": "80", "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        title = f"spool {command}".strip()
        parts.append(f"## `{title}`\n")
        parts.append(f"```text\n{said.rstrip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
