"""When an IBL session ends: the rig's warnings, taken as stopping rules.

Rig 6 warns, in this order: 45 min have passed with at most 400 trials; after 400 trials the median response time of the
last 20 exceeds five times that of the session; 90 min have passed. Neither rig stops by itself: the experimenter does, for
whom the first warning stands here. At most 2,000 trials. These rules are the defaults of every `Protocol`.

Rig 8 colours its plot by the same rules, the second only after 45 min. `BY_TRIALS_ALONE` is for protocols without a clock.
Sources: iblrig 6.2.5 `misc.py`, iblrig 8.24.7 `online_plots.py`.
"""

from typing import Any

RIG_8_SESSION: dict[str, Any] = {"slow_minutes": 45}
BY_TRIALS_ALONE: dict[str, Any] = {"session_minutes": 0, "few_minutes": 0, "slow_factor": 0}
