"""What an operating system says of a failure, in words that the catalogue has in Chinese too.

The one place that reads `strerror`: what else tells people of an `OSError` takes its words here.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, without_stop

WORDS: Final[Mapping[int, str]] = {
    errno.EPERM: "Operation not permitted",
    errno.ENOENT: "No such file or directory",
    errno.EIO: "Input/output error",
    errno.ENXIO: "No such device or address",
    errno.ENOEXEC: "Exec format error",
    errno.EBADF: "Bad file descriptor",
    errno.EAGAIN: "Resource temporarily unavailable",
    errno.ENOMEM: "Cannot allocate memory",
    errno.EACCES: "Permission denied",
    errno.EBUSY: "Device or resource busy",
    errno.EEXIST: "File exists",
    errno.EXDEV: "Invalid cross-device link",
    errno.ENODEV: "No such device",
    errno.ENOTDIR: "Not a directory",
    errno.EISDIR: "Is a directory",
    errno.EINVAL: "Invalid argument",
    errno.ENFILE: "Too many open files in system",
    errno.EMFILE: "Too many open files",
    errno.ETXTBSY: "Text file busy",
    errno.EFBIG: "File too large",
    errno.ENOSPC: "No space left on device",
    errno.EROFS: "Read-only file system",
    errno.EMLINK: "Too many links",
    errno.EPIPE: "Broken pipe",
    errno.ENAMETOOLONG: "File name too long",
    errno.ENOTEMPTY: "Directory not empty",
    errno.ELOOP: "Too many levels of symbolic links",
    errno.EOPNOTSUPP: "Operation not supported",
    errno.EAFNOSUPPORT: "Address family not supported by protocol",
    errno.EADDRINUSE: "Address already in use",
    errno.EADDRNOTAVAIL: "Cannot assign requested address",
    errno.ENETDOWN: "Network is down",
    errno.ENETUNREACH: "Network is unreachable",
    errno.ECONNABORTED: "Software caused connection abort",
    errno.ECONNRESET: "Connection reset by peer",
    errno.ENOTCONN: "Transport endpoint is not connected",
    errno.ETIMEDOUT: "Connection timed out",
    errno.ECONNREFUSED: "Connection refused",
    errno.EHOSTDOWN: "Host is down",
    errno.EHOSTUNREACH: "No route to host",
    errno.ESTALE: "Stale file handle",
    errno.EDQUOT: "Disk quota exceeded",
}
"""Linux's words of the errors that people meet."""
OTHERS: Final = (
    "Name or service not known",
    "No address associated with hostname",
    "Temporary failure in name resolution",
    "Non-recoverable failure in name resolution",
    "All connection attempts failed",
    "Server disconnected without sending a response.",
    "wrong version number",
    "EOF occurred in violation of protocol",
    "certificate verify failed: unable to get local issuer certificate",
    "certificate verify failed: self-signed certificate in certificate chain",
    "certificate verify failed: certificate has expired",
    "certificate verify failed: certificate is not yet valid",
)
"""What the resolver of names and the libraries that connect say, whatever its number."""
NOT_TEXT: Final = "it is not text"
TIMED_OUT: Final = "timed out"
_TLS: Final = re.compile(r"(?:\[[A-Z0-9]+(?:: \w+)?\] )?(.*?)(?: \(_ssl\.c:\d+\))?", re.DOTALL)
"""How Python tells a fault of TLS: OpenSSL's words, between its names for them and a line of C."""
_CONNECTING: Final = "Connect call failed"
"""How asyncio's own words begin, which repeat the address."""


def reason_of(error: OSError | UnicodeError) -> str:
    """Return why reading, writing or connecting failed, without the name of what it was."""
    if isinstance(error, UnicodeError):
        return NOT_TEXT
    if isinstance(error, TimeoutError) and error.errno is None:
        return TIMED_OUT
    said = _words_in(error.strerror or "")
    if error.errno is None:
        return said or _words_in(str(error)) or type(error).__name__
    if not said or said == os.strerror(error.errno) or said.startswith(_CONNECTING):
        return reason_for(error.errno)
    return said  # whoever raised it chose the words, or numbers errors otherwise: TLS, names


def _words_in(said: str) -> str:
    found = _TLS.fullmatch(said)
    return said if found is None else found[1]


def reason_below(error: BaseException) -> str:
    """Return the same of the failure that a library's error was raised from, else its own words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return reason_of(cause)
        cause = cause.__cause__
    return str(error) or type(error).__name__


def reason_in(error: Exception) -> str:
    """Return the reason that any error has, to be told within a sentence: one of ours its own."""
    if isinstance(error, SecureFlowError):
        return without_stop(error.message)
    if isinstance(error, OSError) and error.filename:
        return without_stop(failed_at(error.filename, error))
    return reason_of(error) if isinstance(error, OSError | UnicodeError) else str(error)


def reason_for(code: int) -> str:
    """Return the same of an error's number alone."""
    return WORDS.get(code) or os.strerror(code)


def failed_at(place: object, error: OSError | UnicodeError) -> Text:
    """Return a sentence of the file or folder that something failed at, and why."""
    return Text("{path}: {reason}.", path=place, reason=reason_of(error))
