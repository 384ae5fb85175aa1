"""The response about a saga: still under way, done, or why it ended badly."""

from collections.abc import Callable, Mapping

from chalice.app import Response

from chalicelib.entrypoints.http import Request, answer
from chalicelib.entrypoints.problems import problem
from chalicelib.entrypoints.refusals import Cancelled, CustomerRejected, PartnerFailed, PaymentDeclined, RunnerRejected
from chalicelib.errors import Refusal
from chalicelib.messages import replies
from chalicelib.sagas.queries import SagaWithOrder
from chalicelib.sagas.registry import definition_of
from chalicelib.sagas.state import ORDER_WITH_SAGA, ErrorCode, Saga, SagaStatus

BAD_ENDS: dict[ErrorCode, type[Refusal]] = {
    ErrorCode.DECLINED: PaymentDeclined,
    ErrorCode.REFUSED: PartnerFailed,
    ErrorCode.SILENT: PartnerFailed,
    ErrorCode.CANCELLED: Cancelled,
    ErrorCode.EXPIRED: PartnerFailed,
    ErrorCode.TIMEOUT: PartnerFailed,
}


REJECTIONS: dict[type[replies.Reply], type[Refusal]] = {
    replies.CustomerRejected: CustomerRejected,
    replies.RunnerRejected: RunnerRejected,
}


def completed(saga: Saga) -> bool:
    """The usual good end."""
    return saga.status is SagaStatus.COMPLETED


def saga_response(
    request: Request,
    seen: SagaWithOrder,
    *,
    done: int,
    headers: Mapping[str, str],
    waited: bool,
    ended_well: Callable[[Saga], bool] = completed,
) -> Response:
    """The answer for a saga as it was last seen: `done` where it ended well, 202 while it is under way, else a problem.

    Only a request that waited gets how it ended badly: one that merely joins a suspended saga is accepted, and served when that heals.
    """
    if ended_well(seen.saga):
        return answer(done, ORDER_WITH_SAGA.document(seen), headers)
    if not waited or seen.saga.status in (SagaStatus.RUNNING, SagaStatus.COMPENSATING):
        return answer(202, ORDER_WITH_SAGA.document(seen), headers)
    return problem(_bad_end(seen.saga), request.path, request.correlation_id, headers, seen)


def _bad_end(saga: Saga) -> Refusal:
    detail = saga.error.detail if saga.error else "the saga failed"
    if saga.error is None or saga.status is SagaStatus.FAILED:
        return PartnerFailed(detail)
    if saga.error.code is ErrorCode.REJECTED:
        definition = definition_of(saga.name, saga.definition_version)
        refusal = definition.refusal_in(saga) if definition else None
        return REJECTIONS.get(refusal, PartnerFailed)(detail) if refusal else PartnerFailed(detail)
    return BAD_ENDS[saga.error.code](detail)
