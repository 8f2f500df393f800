"""What was distributed to :mod:`websockets.datastructures` and :mod:`websockets.legacy.http`.

.. deprecated:: 13.2
    Use those.
"""

import warnings
from typing import TYPE_CHECKING

from . import _aliases

if TYPE_CHECKING:
    from ws_legacy.http import read_request, read_response
    from ws_protocol.datastructures import Headers, MultipleValuesError
else:
    __getattr__, __dir__ = _aliases.lazy_attributes(globals(), _aliases.MODULES[__name__])

__all__ = ["Headers", "MultipleValuesError", "read_request", "read_response"]

warnings.warn(  # deprecated in the public library's 9.0
    "Headers and MultipleValuesError were moved from websockets.http to websockets.datastructures "
    "and read_request and read_response were moved from websockets.http to websockets.legacy.http",
    DeprecationWarning,
    stacklevel=2,
)
