"""Every error the library raises on purpose, in one tree. The class tells the retry story; the text says what, got, wanted, next.

    WidedeepError
    ├── PermanentError              do not retry: somebody has to change something first
    │   ├── ContractError           the contract file, all problems at once
    │   ├── SettingsError           an environment setting
    │   ├── UsageError              a wrong argument of a command or a run
    │   ├── StoreAccessError        credentials refused, or a bucket that is not there
    │   ├── UnsafeStoreError        a store that lets two writers win, or loses or damages what it is given
    │   ├── StackError              a port, a file or a part of the local stack is not as it has to be
    │   ├── IntegrityError          bytes that are not what their digest says
    │   ├── FormatError             stored in a format that this version does not read
    │   ├── SignatureError          unsigned where a signature is required, or signed by nobody whom we trust
    │   └── OrderError              an earlier span of the lane is unsettled, or the span lies behind the lane's head
    ├── WithheldError               the lane is frozen, or a rollback withdrew the release: it stays stored, unpromoted
    ├── StaleError                  somebody else was first: read again, then decide again
    │   └── SupersededError         a later span of the lane has settled: there is nothing left to decide
    ├── TrainingError               the processes that train together died too often: nothing was staged, a retry begins anew
    └── UnknownOutcomeError         the store did not answer: read before retrying
        ├── StoreUnavailableError   no connection, a time-out, or a 5xx answer
        └── DiskFullError           no space for a temporary file; nothing was published

Expected outcomes (a damaged batch, a candidate worse than the champion) are values, not errors: see `widedeep.artifacts`.
"""


class WidedeepError(Exception):
    """Base of all errors raised on purpose."""


class PermanentError(WidedeepError):
    """Retrying changes nothing."""


class ContractError(PermanentError):
    """The contract file is wrong. The text lists every problem found."""


class SettingsError(PermanentError):
    """An environment setting is missing, unknown or malformed."""


class UsageError(PermanentError):
    """A wrong argument of a command or of a manual run."""


class StoreAccessError(PermanentError):
    """The store answered, and refuses: bad credentials, no rights, or no such bucket."""


class UnsafeStoreError(PermanentError):
    """The store breaks a rule that publishing rests on. Nothing was begun; `widedeep doctor` shows each rule."""


class StackError(PermanentError):
    """The local stack can't come up. The text says which part, and where its log is."""


class IntegrityError(PermanentError):
    """Bytes differ from their recorded digest. Nothing was loaded."""


class FormatError(PermanentError):
    """Stored by a newer version, or in a format that has to be migrated first. Nothing was loaded."""


class SignatureError(PermanentError):
    """A required signature is missing, or one that stands there does not fit. Nothing was loaded."""


class OrderError(PermanentError):
    """The lane's order would be broken. Nothing was trained."""


class WithheldError(WidedeepError):
    """A person said that this is not to be promoted: the lane is frozen, or a rollback withdrew the release or its parent."""


class TrainingError(WidedeepError):
    """Processes that train together died more often than they are started again. Nothing was staged."""


class StaleError(WidedeepError):
    """The object changed since it was read (HTTP 404, 409 or 412 on a conditional write). The write did not happen."""


class SupersededError(StaleError):
    """Before a person approved a candidate a later span has settled, or another champion leads. It stays stored, unpromoted."""


class UnknownOutcomeError(WidedeepError):
    """The write may or may not have happened. Every step is idempotent, so running it again is safe."""


class StoreUnavailableError(UnknownOutcomeError):
    """The store can't be reached or answers with a server fault."""


class DiskFullError(UnknownOutcomeError):
    """This machine's disk is full. The half-written temporary file was removed; nothing was published."""
