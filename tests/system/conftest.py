"""A machine for all tests of a process, and on it a spool with its units for each test."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from system.installation import Installation
from system.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Boot a machine."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    try:
        machine.boot()
        yield machine
    finally:
        machine.destroy()


@pytest.fixture
def units(bare_units: Installation) -> Installation:
    """Install the units for a fresh spool, and have that made."""
    bare_units.make()
    bare_units.forget_journal()
    return bare_units


@pytest.fixture
def bare_units(machine: Machine) -> Iterator[Installation]:
    """Install the units for a spool that is not there yet."""
    installation = Installation(machine, f"/var/lib/spoolcalc-{next(_numbers)}/spool")
    installation.install()
    yield installation
    installation.remove()
