"""All that is broken, by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import crash_by_hand
import crash_cleaning
import crash_finishing
import crash_inbox
import crash_races
import crash_races_by_hand
import crash_races_waiting
import crash_submitting
import crash_sweeping
import crash_trying
import crash_waiting

if TYPE_CHECKING:
    from crash_base import Scenario
    from crash_races import Race

SCENARIOS: dict[str, type[Scenario]] = {
    **crash_submitting.SCENARIOS,
    **crash_finishing.SCENARIOS,
    **crash_sweeping.SCENARIOS,
    **crash_inbox.SCENARIOS,
    **crash_waiting.SCENARIOS,
    **crash_trying.SCENARIOS,
    **crash_by_hand.SCENARIOS,
    **crash_cleaning.SCENARIOS,
}

RACES: dict[str, type[Race]] = {
    **crash_races.RACES,
    **crash_races_waiting.RACES,
    **crash_races_by_hand.RACES,
    **crash_inbox.RACES,
}
