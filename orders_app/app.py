"""Every route, Kafka function and schedule of the order service: what AWS calls. Each body is one line; the work is in chalicelib."""

from typing import Any

from chalice.app import AuthRequest, AuthResponse, CloudWatchEvent, Rate, Response

from chalicelib.entrypoints import dead_letters, documents, health, kafka, maintenance, orders, sagas, schedules, tokens
from chalicelib.entrypoints.http import CampusApp

app = CampusApp(app_name="campusg-orders")


@app.authorizer(ttl_seconds=60)
def token_auth(request: AuthRequest) -> AuthResponse:
    return tokens.authorize(request)


@app.route("/api/orders", methods=["POST"], authorizer=token_auth)
def create_order() -> Response:
    return orders.create(app.http_request())


@app.route("/api/orders", methods=["GET"], authorizer=token_auth)
def list_orders() -> Response:
    return orders.list_(app.http_request())


@app.route("/api/orders/{order_id}", methods=["GET"], authorizer=token_auth)
def read_order(order_id: str) -> Response:
    return orders.read(app.http_request(), order_id)


@app.route("/api/orders/{order_id}/history", methods=["GET"], authorizer=token_auth)
def read_history(order_id: str) -> Response:
    return orders.history(app.http_request(), order_id)


@app.route("/api/orders/{order_id}/status", methods=["PATCH"], authorizer=token_auth)
def change_status(order_id: str) -> Response:
    return orders.change_status(app.http_request(), order_id)


@app.route("/api/orders/{order_id}/accept", methods=["POST"], authorizer=token_auth)
def accept_order(order_id: str) -> Response:
    return orders.accept(app.http_request(), order_id)


@app.route("/api/orders/{order_id}/cancel-acceptance", methods=["POST"], authorizer=token_auth)
def cancel_acceptance(order_id: str) -> Response:
    return orders.cancel_acceptance(app.http_request(), order_id)


@app.route("/api/orders/{order_id}/cancel", methods=["POST"], authorizer=token_auth)
def cancel_order(order_id: str) -> Response:
    return orders.cancel(app.http_request(), order_id)


@app.route("/api/orders/{order_id}/complete", methods=["POST"], authorizer=token_auth)
def complete_order(order_id: str) -> Response:
    return orders.complete(app.http_request(), order_id)


@app.route("/api/sagas", methods=["GET"], authorizer=token_auth)
def list_sagas() -> Response:
    return sagas.list_(app.http_request())


@app.route("/api/sagas/{saga_id}/retry", methods=["POST"], authorizer=token_auth)
def retry_saga(saga_id: str) -> Response:
    return sagas.retry(app.http_request(), saga_id)


@app.route("/api/sagas/{saga_id}/compensate", methods=["POST"], authorizer=token_auth)
def compensate_saga(saga_id: str) -> Response:
    return sagas.compensate(app.http_request(), saga_id)


@app.route("/api/sagas/{saga_id}", methods=["GET"], authorizer=token_auth)
def read_saga(saga_id: str) -> Response:
    return sagas.read(app.http_request(), saga_id)


@app.route("/api/dead-letters", methods=["GET"], authorizer=token_auth)
def list_dead_letters() -> Response:
    return dead_letters.list_(app.http_request())


@app.route("/api/dead-letters/{dead_letter_id}", methods=["GET"], authorizer=token_auth)
def read_dead_letter(dead_letter_id: str) -> Response:
    return dead_letters.read(app.http_request(), dead_letter_id)


@app.route("/api/dead-letters/{dead_letter_id}/redrive", methods=["POST"], authorizer=token_auth)
def redrive_dead_letter(dead_letter_id: str) -> Response:
    return dead_letters.redrive(app.http_request(), dead_letter_id)


@app.route("/api/dead-letters/{dead_letter_id}/dismiss", methods=["POST"], authorizer=token_auth)
def dismiss_dead_letter(dead_letter_id: str) -> Response:
    return dead_letters.dismiss(app.http_request(), dead_letter_id)


@app.route("/health", methods=["GET"])
def read_health() -> Response:
    return health.alive(app.http_request())


@app.route("/health/ready", methods=["GET"])
def read_readiness() -> Response:
    return health.ready(app.http_request())


@app.route("/openapi.json", methods=["GET"])
def read_openapi() -> Response:
    return documents.openapi(app.http_request())


@app.route("/asyncapi.json", methods=["GET"])
def read_asyncapi() -> Response:
    return documents.asyncapi(app.http_request())


@app.route("/docs", methods=["GET"])
def read_docs() -> Response:
    return documents.docs(app.http_request())


@app.lambda_function()
def on_user_events(event: dict[str, Any], context: object) -> dict[str, Any]:
    return kafka.take_partner_events(event, context)


@app.lambda_function()
def on_payment_events(event: dict[str, Any], context: object) -> dict[str, Any]:
    return kafka.take_partner_events(event, context)


@app.lambda_function()
def on_escrow_events(event: dict[str, Any], context: object) -> dict[str, Any]:
    return kafka.take_partner_events(event, context)


@app.schedule(Rate(1, unit=Rate.MINUTES))
def sweep_timeouts(event: CloudWatchEvent) -> None:
    schedules.sweep_timeouts()


@app.schedule(Rate(1, unit=Rate.MINUTES))
def relay_outbox(event: CloudWatchEvent) -> None:
    schedules.relay_outbox()


@app.schedule(Rate(1, unit=Rate.MINUTES))
def purge_expired(event: CloudWatchEvent) -> None:
    schedules.purge_expired()


@app.schedule(Rate(1, unit=Rate.MINUTES))
def audit_invariants(event: CloudWatchEvent) -> None:
    schedules.audit_invariants()


@app.lambda_function()
def migrate(event: dict[str, Any], context: object) -> dict[str, Any]:
    return maintenance.migrate()
