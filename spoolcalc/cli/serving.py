"""``spool serve``."""

from __future__ import annotations

from typing import Annotated

import typer

from spoolcalc.cli.app import finish
from spoolcalc.cli.options import SpoolOption
from spoolcalc.errors import UsageError, shown
from spoolcalc.job import COMMAND

#: What the extra brings.
_NEEDED = ("starlette", "uvicorn", "httptools")


def serve(
    context: typer.Context,
    *,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Where to listen; other machines are let in only with a token. "
            "[default: 127.0.0.1:8080]",
        ),
    ] = None,
    socket: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Listen at a Unix socket, for this user alone."),
    ] = None,
    token_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Clients must know the token that this file has."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="OPERATION", help="exec: let clients run any command."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A name by which this server is called. May be given several times.",
        ),
    ] = None,
    spool: SpoolOption = None,
) -> None:
    """Serve the spool over HTTP, with a page to look at, until SIGTERM or SIGINT."""

    def action(path: str) -> int:
        strange = sorted(set(allow or ()) - {COMMAND})
        if strange:
            raise UsageError(f"--allow {shown(strange[0])}", f"Only {COMMAND} can be allowed.")
        _check_extra()
        from spoolcalc.http.serving import serve as run

        return run(
            path,
            listen=listen,
            unix=socket,
            token_file=token_file,
            allow=allow or (),
            allow_hosts=allow_host or (),
        )

    finish(context, spool, action)


def _check_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"spool serve needs {' and '.join(missing)}, not installed here",
            "Get what it needs by: pip install 'spoolcalc[http]'",
        )
