"""The units for systemd, as texts; the tests of the system have a real systemd run them."""

from __future__ import annotations

import pytest

from spoolcalc.errors import UsageError
from spoolcalc.systemd import MARK, NAMES, state_directory, units

PROGRAM = ("/usr/bin/spool",)


def settings(text: str) -> list[tuple[str, str]]:
    """Return the settings of a unit, in order."""
    lines = [line for line in text.splitlines() if line and line[0] not in "#["]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def of_the_system(spool: str = "/srv/spool") -> dict[str, str]:
    """Return the system's units."""
    return dict(units(program=PROGRAM, spool=spool, user="spool"))


def test_each_unit_tells_who_made_it_and_where_to_change_it() -> None:
    """In its first line, by which it is known later."""
    for name, text in of_the_system().items():
        first = text.splitlines()[0]
        assert first.startswith(MARK)
        assert first.endswith(f"systemctl edit {name}")


@pytest.mark.parametrize("user", ["spool", None])
def test_no_unit_has_a_placeholder_left(user: str | None) -> None:
    """Nor a setting without a value, but the empty set of capabilities."""
    made = units(program=PROGRAM, spool="/srv/spool", user=user)
    assert tuple(made) == NAMES
    for text in made.values():
        assert not {"{", "}"} & set(text)
        assert {name for name, value in settings(text) if not value} <= {"CapabilityBoundingSet"}


def test_comments_stand_on_lines_of_their_own() -> None:
    """Behind a value, systemd takes them for a part of it."""
    for text in of_the_system().values():
        assert not [value for _, value in settings(text) if "#" in value]


def test_a_user_s_own_units_ask_for_nothing_that_needs_rights() -> None:
    """No sandbox, no other user, and the targets that a user's service manager has."""
    made = units(program=PROGRAM, spool="/home/me/spool", user=None)
    for text in made.values():
        names = {name for name, _ in settings(text)}
        assert not names & {"User", "ProtectSystem", "StateDirectory", "RestrictNamespaces"}
        assert "multi-user.target" not in text
        assert "paths.target" not in text
    assert "WantedBy=default.target" in made["spool-work@.service"]


def test_hostile_paths_are_escaped_where_each_setting_needs_it() -> None:
    """Specifiers everywhere, quotes in words, variables in command lines."""
    made = units(program=("/opt/a b/spool", "$x%"), spool='/s/a "b" \\ $c 100%', user="spool")
    work = dict(settings(made["spool-work@.service"]))
    word = '/s/a \\"b\\" \\\\ $c 100%%'
    assert work["ExecStart"].startswith('"/opt/a b/spool" "$$x%%" work ')
    assert work["RequiresMountsFor"] == work["ReadWritePaths"] == f'"{word}"'
    assert ("Environment", f'"SPOOL_DIR={word}"') in settings(made["spool-work@.service"])
    watched = [v for n, v in settings(made["spool-drain.path"]) if n == "DirectoryNotEmpty"]
    assert watched == [f'/s/a "b" \\ $c 100%%/{name}' for name in ("pending", "inbox")]


@pytest.mark.parametrize("bad", ["/a\nb", "/a\tb", "/a\udcff", "/a\x7f"])
def test_paths_that_no_unit_can_hold_are_refused(bad: str) -> None:
    """A line's end would be another setting."""
    with pytest.raises(UsageError, match="systemd cannot have"):
        units(program=PROGRAM, spool=bad, user="spool")
    with pytest.raises(UsageError, match="systemd cannot have"):
        units(program=(bad,), spool="/srv/spool", user="spool")


@pytest.mark.parametrize("bad", ["", "a b", "a\nUser=root", "-x", "%u"])
def test_what_is_no_user_is_refused(bad: str) -> None:
    """It would be a setting, or a specifier."""
    with pytest.raises(UsageError, match="not the name of a user"):
        units(program=PROGRAM, spool="/srv/spool", user=bad)


def test_a_spool_that_is_there_is_not_given_to_the_user() -> None:
    """It may be meant for a group, and the service manager would give all of it away."""
    made = units(program=PROGRAM, spool="/var/lib/a/spool", user="spool", exists=True)
    work = dict(settings(made["spool-work@.service"]))
    assert work["ReadWritePaths"] == "/var/lib/a/spool"
    assert "StateDirectory" not in work


@pytest.mark.parametrize(
    ("spool", "expected"),
    [
        ("/var/lib/spoolcalc/spool", "spoolcalc"),
        ("/var/lib/a/b/spool", "a/b"),
        ("/var/lib/a/my spool", "a"),
        ("/var/lib/spool", None),  # systemd would set its mode at each start
        ("/var/lib/a:b/spool", None),  # a colon has a meaning there
        ("/var/lib/../spool", None),
        ("/var/lib/my dir/spool", None),
        ("/srv/lib/a/spool", None),
    ],
)
def test_what_lies_in_var_lib_is_made_by_systemd(spool: str, expected: str | None) -> None:
    """Else it must be there, and is made writable."""
    assert state_directory(spool) == expected
    work = dict(settings(of_the_system(spool)["spool-work@.service"]))
    assert work.get("StateDirectory") == expected
    assert ("ReadWritePaths" in work) == (expected is None)
