"""Whether a part of Airflow in this container does its work: `python healthy.py PART`; exit status 0 or 1.

Asked every few seconds, so it imports no Airflow: that would cost a processor more than the part itself does at rest.
"""

import os
import socket
import sys
import urllib.request

JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
PATIENCE_S = 60  # Airflow's parts tell the database every 5 s that they live


def api_server_answers() -> bool:
    with urllib.request.urlopen("http://127.0.0.1:8080/api/v2/version", timeout=5) as answer:
        return bool(answer.status == 200)  # noqa: PLR2004 (HTTP OK)


def job_lives(kind: str) -> bool:
    """Whether a job of this host has told so lately."""
    import psycopg2  # noqa: PLC0415

    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2://", "postgresql://")
    connection = psycopg2.connect(url, connect_timeout=5)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "select count(*) from job where job_type = %s and hostname = %s and state = 'running'"
                " and latest_heartbeat > now() - make_interval(secs => %s)",
                (kind, socket.gethostname(), PATIENCE_S),
            )
            return bool(cursor.fetchone()[0])
    finally:
        connection.close()


def worker_answers() -> bool:
    """Whether this host's Celery worker answers through the broker."""
    from celery import Celery  # noqa: PLC0415

    name = f"celery@{socket.gethostname()}"
    return name in (Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"]).control.ping([name], timeout=5) or [{}])[0]


def is_healthy(part: str) -> bool:
    if part == "api-server":
        return api_server_answers()
    return worker_answers() if part == "worker" else job_lives(JOBS[part])


if __name__ == "__main__":
    try:
        sys.exit(not is_healthy(sys.argv[1]))
    except Exception as error:  # whatever it is, the part can't be reached
        sys.exit(f"{sys.argv[1]}: {type(error).__name__}")
