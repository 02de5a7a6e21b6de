"""The object store on S3 and what speaks like it. The only package that knows boto3.

- Every PUT carries its SHA-256, so a body damaged on its way is refused by the server.
- Every PUT of a whole object is conditional; 404, 409 and 412 mean "somebody else was first": nothing was written, read again.
- A conflict after a lost answer may be with our own first try: what stands there is read before anybody is told who won.
- A large file goes up in parts, under a key that carries its digest: rivals have equal bytes, whoever is last. The completion is
  never conditional: several conditional completions can win a race.
- Of a server's answer only the code is ever repeated: some servers put the signed request into its text.
"""

from widedeep.publishing.s3.connection import TRIES
from widedeep.publishing.s3.objects import S3Store, open_store
from widedeep.publishing.s3.probes import S3Server

__all__ = ["TRIES", "S3Server", "S3Store", "open_store"]
