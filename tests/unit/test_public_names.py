"""What may be imported from the package, and how little the import costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import spoolcalc

PUBLIC = """
    Answer Attempt BadJobId BadOperands BadSettings CeilingReached Claim Cleaned Context
    CorruptDocument Job JobCancelled JobFailed Lease NewerFormat NoSpool NoSuchJob NotAdopted
    NotFinished NotYours Operation OperationFailed Outcome Quarantined Rejected Settings Spool
    SpoolError SpoolUnusable State StorageFailure Swept UnknownOperation UsageError Worker
    __version__ operation
"""


def test_the_public_names_are_these() -> None:
    """Adding one is a decision, and taking one away breaks somebody's program."""
    assert sorted(spoolcalc.__all__) == sorted(PUBLIC.split())


@pytest.mark.parametrize("name", PUBLIC.split())
def test_each_public_name_can_be_had_and_is_documented(name: str) -> None:
    """From the package itself, with a docstring."""
    value = getattr(spoolcalc, name)
    assert name == "__version__" or value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = spoolcalc.nonsense


def test_the_package_itself_imports_nothing() -> None:
    """Everything comes on first use."""
    code = (
        "import sys, __future__; old = set(sys.modules); import spoolcalc; "
        "print(*set(sys.modules) - old)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["spoolcalc"]
