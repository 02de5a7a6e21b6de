"""One of several processes that race on a real server: for each line of its input it tries one write, and prints 1 if it won.

python rival.py URL ENDPOINT BYTES        input: `create KEY` or `swap KEY ETAG`
"""

import sys

from widedeep.errors import StaleError
from widedeep.publishing.s3 import S3Store

url, endpoint, data = sys.argv[1:]
store = S3Store(url, endpoint)
store.get("nothing")  # connects
print("ready", flush=True)
for line in sys.stdin:
    how, key, *etag = line.split()
    try:
        won = store.create(key, data.encode()) if how == "create" else bool(store.swap(key, data.encode(), etag[0]))
    except StaleError:
        won = False
    print(int(won), flush=True)
