"""When an IBL session ends: the rig's warnings, taken as stopping rules.

Rig 6 warns, in this order: 45 min have passed with at most 400 trials; after 400 trials the median response time of the
last 20 exceeds five times that of the session; 90 min have passed. Rig 8 colours its plot by the same rules, the second
only after 45 min. Neither stops by itself: the experimenter does, for whom the first warning stands here. At most 2,000
trials. Sources: iblrig 6.2.5 `misc.py`, iblrig 8.24.7 `online_plots.py`.
"""

from typing import Any

RIG_6_SESSION: dict[str, Any] = {
    "session_trials": 2000,
    "session_minutes": 90,
    "few_minutes": 45,
    "few_trials": 400,
    "slow_factor": 5,
}
RIG_8_SESSION: dict[str, Any] = RIG_6_SESSION | {"slow_minutes": 45}
