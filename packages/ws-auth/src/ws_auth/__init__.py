"""HTTP authentication of WebSocket connections: who may connect, and how to tell."""

from ._version import __version__
from .basic import BasicAuth, basic_auth
from .policy import CredentialsCheck, is_credentials

__all__ = ["BasicAuth", "CredentialsCheck", "__version__", "basic_auth", "is_credentials"]
