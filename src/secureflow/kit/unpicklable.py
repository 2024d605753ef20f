"""Objects that hold a secret and must not be saved by accident.

A notebook keeps what it prints, and session savers (pickle, dill, joblib) keep whole objects. A
class that derives from `Unpicklable` cannot be pickled or copied by pickle's protocol; its secret
fields are declared with `repr=False`, so that neither `repr`, `pprint` nor a log line shows them.
"""

from __future__ import annotations

from typing import NoReturn


class Unpicklable:
    """A base class for holders of a secret, which refuse to be pickled."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse.

        Raises:
            TypeError: always; the secret is not shown.
        """
        del protocol
        message = f"{type(self).__name__} holds a secret and cannot be pickled or copied"
        raise TypeError(message)
