"""Walks on the real thing: Airflow's scheduler, PostgreSQL, the object store, and somebody who presses all the buttons."""
