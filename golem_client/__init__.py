"""Complete Golem promises from Python, and know what happened."""

from golem_client.client import GolemClient, Promise
from golem_client.errors import (
    AttemptTimeoutError,
    AuthenticationError,
    BadRequestError,
    ComponentNotFoundError,
    ConnectionFailedError,
    ConnectionLostError,
    DeadlineExceededError,
    DeliveryError,
    GolemError,
    InsecureTransportWarning,
    InvalidIdError,
    NotFoundError,
    PayloadError,
    PayloadTooLargeError,
    PermissionDeniedError,
    PromiseNotFoundError,
    RateLimitedError,
    ResponseError,
    ServerError,
    UnexpectedResponseError,
    WorkerNotFoundError,
)
from golem_client.ids import AgentId, ComponentId, OplogIndex, PromiseId, WorkerId
from golem_client.payload import make_converter
from golem_client.retry import Completion, Outcome, RetryPolicy

# Last: it takes the names above from here.
from golem_client.bulk import complete_many  # isort: skip

__all__ = [
    "AgentId",
    "AttemptTimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "Completion",
    "ComponentId",
    "ComponentNotFoundError",
    "ConnectionFailedError",
    "ConnectionLostError",
    "DeadlineExceededError",
    "DeliveryError",
    "GolemClient",
    "GolemError",
    "InsecureTransportWarning",
    "InvalidIdError",
    "NotFoundError",
    "OplogIndex",
    "Outcome",
    "PayloadError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "Promise",
    "PromiseId",
    "PromiseNotFoundError",
    "RateLimitedError",
    "ResponseError",
    "RetryPolicy",
    "ServerError",
    "UnexpectedResponseError",
    "WorkerId",
    "WorkerNotFoundError",
    "complete_many",
    "make_converter",
]
