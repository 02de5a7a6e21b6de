"""Delivers a day on which every film is a Western: `drastic_day.py SPAN`. It is the sample's span before it otherwise."""

import io
import os
import sys
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from widedeep.config import load_settings
from widedeep.publishing.s3 import open_store

span = date.fromisoformat(sys.argv[1])
store = open_store(load_settings(os.environ), os.environ)
before = next(iter(store.keys(f"landing/{span - timedelta(days=1)}/")))
rows = pq.read_table(io.BytesIO(store.get(before).data))
rows = rows.set_column(rows.column_names.index("event_time"), "event_time", pc.add(rows["event_time"], timedelta(days=1)))
rows = rows.set_column(rows.column_names.index("genres"), "genres", pa.array([["Western"]] * len(rows), rows["genres"].type))
file = io.BytesIO()
pq.write_table(rows, file)
store.create(f"landing/{span}/rows.parquet", file.getvalue())
