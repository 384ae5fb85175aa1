"""Every route, Kafka function and schedule of the order service: what AWS calls. Each body is one line; the work is in chalicelib."""

import gc

# Hardly anything of what is imported becomes garbage, and looking for it is a tenth of a cold start.
gc.disable()

from typing import Any

from chalice.app import AuthRequest, AuthResponse, CloudWatchEvent, Rate, Response

from chalicelib import entrypoints
from chalicelib.entrypoints.application import CampusApp

app = CampusApp()


@app.authorizer(ttl_seconds=60)
def token_auth(request: AuthRequest) -> AuthResponse:
    return entrypoints.tokens.authorize(request)


@app.route("/api/orders", methods=["POST"], authorizer=token_auth)
def create_order() -> Response:
    return entrypoints.orders.create(app.http_request())


@app.route("/api/orders", methods=["GET"], authorizer=token_auth)
def list_orders() -> Response:
    return entrypoints.orders.list_(app.http_request())


@app.route("/api/orders/{order_id}", methods=["GET"], authorizer=token_auth)
def read_order(order_id: str) -> Response:
    return entrypoints.orders.read(app.http_request(), order_id)


@app.route("/api/orders/{order_id}/history", methods=["GET"], authorizer=token_auth)
def read_history(order_id: str) -> Response:
    return entrypoints.orders.history(app.http_request(), order_id)


@app.route("/api/orders/{order_id}/timeline", methods=["GET"], authorizer=token_auth)
def read_timeline(order_id: str) -> Response:
    return entrypoints.orders.timeline(app.http_request(), order_id)


@app.route("/api/orders/{order_id}/status", methods=["PATCH"], authorizer=token_auth)
def change_status(order_id: str) -> Response:
    return entrypoints.orders.change_status(app.http_request(), order_id)


@app.route("/api/orders/{order_id}/accept", methods=["POST"], authorizer=token_auth)
def accept_order(order_id: str) -> Response:
    return entrypoints.orders.accept(app.http_request(), order_id)


@app.route("/api/orders/{order_id}/cancel-acceptance", methods=["POST"], authorizer=token_auth)
def cancel_acceptance(order_id: str) -> Response:
    return entrypoints.orders.cancel_acceptance(app.http_request(), order_id)


@app.route("/api/orders/{order_id}/cancel", methods=["POST"], authorizer=token_auth)
def cancel_order(order_id: str) -> Response:
    return entrypoints.orders.cancel(app.http_request(), order_id)


@app.route("/api/orders/{order_id}/complete", methods=["POST"], authorizer=token_auth)
def complete_order(order_id: str) -> Response:
    return entrypoints.orders.complete(app.http_request(), order_id)


@app.route("/api/sagas", methods=["GET"], authorizer=token_auth)
def list_sagas() -> Response:
    return entrypoints.sagas.list_(app.http_request())


@app.route("/api/sagas/{saga_id}/retry", methods=["POST"], authorizer=token_auth)
def retry_saga(saga_id: str) -> Response:
    return entrypoints.sagas.retry(app.http_request(), saga_id)


@app.route("/api/sagas/{saga_id}/compensate", methods=["POST"], authorizer=token_auth)
def compensate_saga(saga_id: str) -> Response:
    return entrypoints.sagas.compensate(app.http_request(), saga_id)


@app.route("/api/sagas/{saga_id}", methods=["GET"], authorizer=token_auth)
def read_saga(saga_id: str) -> Response:
    return entrypoints.sagas.read(app.http_request(), saga_id)


@app.route("/api/sagas/{saga_id}/explanation", methods=["GET"], authorizer=token_auth)
def read_explanation(saga_id: str) -> Response:
    return entrypoints.sagas.explanation(app.http_request(), saga_id)


@app.route("/api/dead-letters", methods=["GET"], authorizer=token_auth)
def list_dead_letters() -> Response:
    return entrypoints.dead_letters.list_(app.http_request())


@app.route("/api/dead-letters/{dead_letter_id}", methods=["GET"], authorizer=token_auth)
def read_dead_letter(dead_letter_id: str) -> Response:
    return entrypoints.dead_letters.read(app.http_request(), dead_letter_id)


@app.route("/api/dead-letters/{dead_letter_id}/redrive", methods=["POST"], authorizer=token_auth)
def redrive_dead_letter(dead_letter_id: str) -> Response:
    return entrypoints.dead_letters.redrive(app.http_request(), dead_letter_id)


@app.route("/api/dead-letters/{dead_letter_id}/dismiss", methods=["POST"], authorizer=token_auth)
def dismiss_dead_letter(dead_letter_id: str) -> Response:
    return entrypoints.dead_letters.dismiss(app.http_request(), dead_letter_id)


@app.route("/api/board", methods=["GET"], authorizer=token_auth)
def read_board() -> Response:
    return entrypoints.board.read(app.http_request())


@app.route("/api/search", methods=["GET"], authorizer=token_auth)
def search() -> Response:
    return entrypoints.search.find(app.http_request())


@app.route("/health", methods=["GET"])
def read_health() -> Response:
    return entrypoints.health.alive(app.http_request())


@app.route("/health/ready", methods=["GET"])
def read_readiness() -> Response:
    return entrypoints.health.ready(app.http_request())


@app.route("/openapi.json", methods=["GET"])
def read_openapi() -> Response:
    return entrypoints.documents.openapi(app.http_request())


@app.route("/asyncapi.json", methods=["GET"])
def read_asyncapi() -> Response:
    return entrypoints.documents.asyncapi(app.http_request())


@app.route("/docs", methods=["GET"])
def read_docs() -> Response:
    return entrypoints.documents.docs(app.http_request())


@app.route("/", methods=["GET"])
def read_root() -> Response:
    return entrypoints.console.root(app.http_request())


@app.route("/console", methods=["GET"])
def read_console() -> Response:
    return entrypoints.console.page(app.http_request())


@app.route("/console/{file}", methods=["GET"])
def read_console_file(file: str) -> Response:
    return entrypoints.console.file(app.http_request(), file)


@app.lambda_function()
def on_user_events(event: dict[str, Any], context: object) -> dict[str, Any]:
    return entrypoints.kafka.take_partner_events(event, context)


@app.lambda_function()
def on_payment_events(event: dict[str, Any], context: object) -> dict[str, Any]:
    return entrypoints.kafka.take_partner_events(event, context)


@app.lambda_function()
def on_escrow_events(event: dict[str, Any], context: object) -> dict[str, Any]:
    return entrypoints.kafka.take_partner_events(event, context)


@app.schedule(Rate(1, unit=Rate.MINUTES))
def sweep_timeouts(event: CloudWatchEvent) -> None:
    entrypoints.schedules.sweep_timeouts()


@app.schedule(Rate(1, unit=Rate.MINUTES))
def relay_outbox(event: CloudWatchEvent) -> None:
    entrypoints.schedules.relay_outbox()


@app.schedule(Rate(1, unit=Rate.MINUTES))
def purge_expired(event: CloudWatchEvent) -> None:
    entrypoints.schedules.purge_expired()


@app.schedule(Rate(1, unit=Rate.MINUTES))
def audit_invariants(event: CloudWatchEvent) -> None:
    entrypoints.schedules.audit_invariants()


@app.lambda_function()
def migrate(event: dict[str, Any], context: object) -> dict[str, Any]:
    return entrypoints.maintenance.migrate()


entrypoints.prepare()
gc.freeze()
gc.enable()
