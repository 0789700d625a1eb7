"""The border where errors become a message on stderr and an exit code."""

from __future__ import annotations

import os

from spoolcalc import output
from spoolcalc.errors import BUG, INTERRUPTED, OK, SpoolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def guard(action: Callable[[], int]) -> int:
    """Run ``action``; turn what it raises into a message and the documented exit code."""
    try:
        return action()
    except SpoolError as error:
        output.tell_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        output.tell("spool: interrupted")
        return INTERRUPTED
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else OK
    except Exception as error:  # noqa: BLE001 - the last border: a bug of ours
        _tell_bug(error)
        return BUG


def _tell_bug(error: Exception) -> None:
    import traceback

    from spoolcalc import __version__

    if os.environ.get("SPOOL_DEBUG"):
        output.tell("".join(traceback.format_exception(error)).rstrip(), output.ERROR)
    last = traceback.extract_tb(error.__traceback__)[-1]
    output.tell(
        f"spool: a bug in spool: {type(error).__name__}: {error}"
        f" ({os.path.basename(last.filename)}:{last.lineno})\n"
        "  Your jobs are where they were. Please report it to the project with the output of the\n"
        "  same command under SPOOL_DEBUG=1, and: "
        f"spoolcalc {__version__}, {output.python_and_system()}.",
        output.ERROR,
    )
