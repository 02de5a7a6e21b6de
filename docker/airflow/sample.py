"""Sets the chain going on MovieLens-100k: its first weeks are delivered as days, the DAGs switched on, the bootstrap triggered.

Done again it finds what it did: a DAG that somebody has paused since stays paused.
"""

import os
import time
from datetime import timedelta
from types import SimpleNamespace

from widedeep.config import load_settings
from widedeep.data.movielens import fetch
from widedeep.local.chain import AirflowApi, is_started, switch_on
from widedeep.local.health import call
from widedeep.steps import deliver_sample, open_workplace

API = "http://api-server:8080"
PATIENCE_S = 300  # compose waits for it too, where the engine can


def main() -> None:
    settings = load_settings(os.environ)
    missing = [name for name in ("sample", "history_start", "start_date", "feed_start") if getattr(settings, name) is None]
    if missing:
        raise SystemExit(
            f"sample: widedeep.env has no {', '.join(f'WIDEDEEP_{m.upper()}' for m in missing)}; docker/README.md has all"
        )
    fetch(settings.sample)
    with open_workplace(os.environ, actor="sample") as place:
        deliver_sample(place, settings.history_start, settings.feed_start - timedelta(days=1))
    stack = SimpleNamespace(
        url=API,
        admin_password=os.environ["ADMIN_PASSWORD"],
        history=(settings.history_start, settings.start_date - timedelta(days=1)),
    )
    deadline = time.monotonic() + PATIENCE_S
    while call("GET", f"{API}/api/v2/version")[0] is None and time.monotonic() < deadline:
        time.sleep(1)
    api = AirflowApi(stack)
    if not is_started(api, stack):
        switch_on(api, stack)


if __name__ == "__main__":
    main()
