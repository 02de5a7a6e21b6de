"""The whole chain on one machine without containers: SeaweedFS, PostgreSQL and Airflow under one supervisor.

Everything listens on 127.0.0.1 only, keeps its state below one folder, and leaves no process behind when it stops.
"""
