"""The Airflow edge: each operator loads what its step needs, calls `widedeep.steps`, and hands keys and digests on.

Nothing heavy is imported when a DAG file is parsed; `widedeep.steps` is imported when a task or a trigger runs.
"""
