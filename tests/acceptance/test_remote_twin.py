"""The command's own tests once more, with the spool behind a server.

Each test of ``submit``, ``status``, ``fetch``, ``wait`` and ``cancel`` runs as it stands, but that
those commands find ``SPOOL_URL`` in their environment.  What is left out here is about what lies
below the command: how it is started, who owns the directory, what the file system refuses.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import test_cli_changing
import test_cli_exec
import test_cli_fetch
import test_cli_inbox
import test_cli_status
import test_cli_submit
import test_cli_submit_options
import test_cli_wait
from _pytest.fixtures import FixtureFunctionDefinition
from conftest import Commands

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from http_server import Loop

pytestmark = pytest.mark.slow

MODULES = (
    test_cli_changing,
    test_cli_exec,
    test_cli_fetch,
    test_cli_inbox,
    test_cli_status,
    test_cli_submit,
    test_cli_submit_options,
    test_cli_wait,
)
#: What a server can be asked.
ASKED = ("submit", "status", "fetch", "wait", "cancel", "retry")
#: Tests that mean nothing here, and why.
NOT_HERE = {
    "test_a_busy_worker_adopts_too": "its operation is installed for the command, not the server",
    "test_a_job_that_vanishes_is_not_waited_for": "looks for the inotify that the server has",
    "test_commands_that_nobody_may_run_are_hinted_at": "the server has made the spool, for itself",
    "test_memory_is_bounded_for_any_number_of_lines": "each of its jobs has a key: minutes",
    "test_json_has_what_was_asked_for": "expects no key, and what is sent always has one",
}

for _module in MODULES:
    for _name, _test in vars(_module).items():
        if _name.startswith("test_") and _name not in NOT_HERE:
            globals()[f"{_module.__name__}_{_name.removeprefix('test_')}"] = _test
        elif isinstance(_test, FixtureFunctionDefinition):
            globals()[_name] = _test


class Place(type(Path())):  # type: ignore[misc] # the class for this system
    """A spool's path.  One in which there is no job is none: the server has made it."""

    def exists(self) -> bool:
        """Tell whether there is anything."""
        if self.name != "spool":
            return bool(super().exists())
        return any(self.glob("*/*/*.json")) or any(self.glob("tmp/*"))


class Distant(Commands):
    """Commands that ask a server wherever they can."""

    def __init__(self, home: Path, spool: Path, url: str) -> None:
        super().__init__(home, spool)
        self.url = url

    def _environment(self, changes: Mapping[str, str | None] | None) -> dict[str, str]:
        return super()._environment({"SPOOL_URL": self.url, **(changes or {})})

    def run(self, *arguments: Any, **options: Any) -> Any:
        """Run it to its end."""
        return super().run(*arguments, **self._local(arguments, options))

    def open(self, *arguments: str, **options: Any) -> Any:
        """Start it."""
        return super().open(*arguments, **self._local(arguments, options))

    def _local(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
        """Take the URL away from a command that works on the directory."""
        if not any(word in ASKED for word in arguments[:1]):
            options["env"] = {"SPOOL_URL": None, **(options.get("env") or {})}
        return options


@pytest.fixture
def commands(tmp_path: Path, http_loop: Loop) -> Iterator[Commands]:
    """Start commands that ask a server."""
    home = tmp_path / "home"
    home.mkdir()
    with http_loop.server(tmp_path / "spool") as url:
        yield Distant(home, Place(tmp_path / "spool"), url)
