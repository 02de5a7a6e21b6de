"""`python -m widedeep.serving.rehearsal RELEASE MANIFEST_SHA256` prints a `DryRunReport`.

`--champion RELEASE MANIFEST_SHA256` is driven beside it.
"""

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from widedeep.config import load_settings
from widedeep.data.contract import load_contract
from widedeep.errors import PermanentError, WidedeepError
from widedeep.publishing.keys import load_trust
from widedeep.publishing.s3 import open_store
from widedeep.serving.listening import alone
from widedeep.serving.listening import serve as listen
from widedeep.serving.rehearsal.rehearsing import Named, Rehearsal, rehearse
from widedeep.serving.rehearsal.servers import LateError, Main


def main(arguments: list[str]) -> int:
    """Exit status 0 with a report; EX_UNAVAILABLE: the candidate's server did not answer, and nobody else is to blame; else
    EX_CONFIG (mend something) or EX_TEMPFAIL (try again): the candidate is not to blame.
    """
    try:
        _main(_parsed(arguments))
    except WidedeepError as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        if isinstance(error, LateError):
            return os.EX_UNAVAILABLE
        return os.EX_CONFIG if isinstance(error, PermanentError) else os.EX_TEMPFAIL
    return os.EX_OK


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m widedeep.serving.rehearsal")
    parser.add_argument("candidate", nargs=2, metavar=("RELEASE", "MANIFEST_SHA256"))
    parser.add_argument("--champion", nargs=2, metavar=("RELEASE", "MANIFEST_SHA256"))
    parser.add_argument("--limit-s", type=float, default=300.0)
    return parser.parse_args(arguments)


def _main(asked: argparse.Namespace) -> None:
    settings = load_settings(os.environ)
    contract = load_contract(settings.contract)
    candidate, champion = tuple(asked.candidate), tuple(asked.champion) if asked.champion else None

    def serve(release: Named) -> Main:
        serving = alone(contract, release)
        return lambda on_address: listen(open_store(settings), contract, settings, serving, on_address)

    with TemporaryDirectory(prefix="widedeep-rehearsal-") as folder:
        rehearsal = Rehearsal(candidate, champion, asked.limit_s, serve)
        report = rehearse(rehearsal, lambda: open_store(settings), contract, Path(folder), load_trust(settings))
    sys.stdout.write(report.model_dump_json() + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
