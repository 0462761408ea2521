"""Which exceptions are the user's business, and the sentence and exit status of each."""

import errno

from typer.exceptions import TyperException

from sat_hdl.config import ConfigError
from sat_hdl.driver import DeviceError
from sat_hdl.link.session import LinkError
from sat_hdl.sim.build import BuildError, ToolError

__all__ = ["FAILED", "INTERRUPTED", "WRONG_USE", "Failure", "status_and_sentence"]

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130


class Failure(Exception):
    """The command was used rightly and did not succeed. The text is for the user."""


def status_and_sentence(error: BaseException) -> tuple[int, str] | None:
    """(exit status, text) of an error that the user can mend, or None for a fault of the program's own."""
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED, "Interrupted."
        case TyperException():
            context = getattr(error, "ctx", None)
            hint = f" Try `{context.command_path} --help`." if context else ""
            return error.exit_code, f"{error.format_message()}{hint}"
        case Failure() | BuildError() | ToolError() | DeviceError() | LinkError():
            return FAILED, str(error)
        case ConfigError():
            return WRONG_USE, str(error)
        case MemoryError():
            return FAILED, "There is not enough memory for this."
        case OSError():
            return FAILED, _os_sentence(error)
    return None


def _os_sentence(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full{where}: free some space and run the command again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"No permission to read or write{where}."
    return f"{error.strerror or error}{where}."
