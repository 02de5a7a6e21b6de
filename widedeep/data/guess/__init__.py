"""A first contract from a sample of somebody's data: guessed, with its reasons, and nothing decided that the data don't tell.

    sources ──read_sample──▶ Sample ──look──▶ Seen, a column each ──draft──▶ Draft ──text_of──▶ commented YAML

What can't be told stands in the contract as a value that begins with `DECIDE`: the contract is refused, with that place, until
somebody has decided.
"""

from widedeep.data.guess.draft import Draft, draft
from widedeep.data.guess.sample import Listing, Sample, folder_listing, read_sample
from widedeep.data.guess.text import text_of

__all__ = ["Draft", "Listing", "Sample", "draft", "folder_listing", "read_sample", "text_of"]
