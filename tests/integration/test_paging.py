"""Lists of orders by page and by cursor: everything once, in order, whatever is inserted meanwhile, and at one price a page."""

import json
import re
from collections.abc import Iterator
from uuid import UUID

import pytest
import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.orders.access import Viewer
from chalicelib.orders.lists import Filters, list_orders_after
from tests.integration.conftest import RULES, Service
from tests.support.answers import Answer
from tests.support.database import World, in_bulk
from tests.support.edge import ADMIN, ORDERS, OWNER, RUNNER, Caller, Edge
from tests.support.servers import PostgresServer
from tests.support.statements import captured

pytestmark = pytest.mark.breaks_invariants("the orders are bare rows, without history or sagas, so that there can be many")

NUMBER = 250
# Orders number {first} to {last}, each created as many seconds after midnight. Every fifth is another customer's, every second is open.
FILL = """
INSERT INTO campusg.orders (order_id, customer_id, food_items, store_location, delivery_location, food_fee, delivery_fee, total, currency,
    order_status, payment_status, payment_id, runner_id, accept_by, created_at, updated_at, version)
SELECT ('01a19467-e800-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, CASE WHEN i % 5 = 0 THEN 'cust_2' ELSE 'cust_1' END,
    '[{{"name": "Rice", "price": "9.00", "quantity": 1}}]', 'Koufu', 'Hall 5', 9, 0, 9, 'SGD',
    CASE WHEN i % 2 = 0 THEN 'READY_FOR_PICKUP' ELSE 'DELIVERED' END, 'AUTHORIZED', 'pay', CASE WHEN i % 2 = 1 THEN 'runner_1' END,
    '2026-11-01', timestamptz '2026-11-01 00:00Z' + make_interval(secs => i), now(), 1
FROM generate_series({first}, {last}) i
"""


@pytest.fixture
def edge(edge: Edge, brokerless: Service) -> Edge:
    brokerless.world.rows(FILL.format(first=1, last=NUMBER))
    return edge


def insert(service: Service, first: int, last: int) -> None:
    service.world.rows(FILL.format(first=first, last=last))


def numbers(answered: Answer) -> list[int]:
    assert answered.status == 200, answered.body
    return [int(order["orderId"][-12:], 16) for order in answered.json()["items"]]


def links(answered: Answer) -> dict[str, str]:
    """Where the Link header leads, by relation."""
    found = dict((relation, target) for target, relation in re.findall(r'<([^>]*)>; rel="([a-z]+)"', answered.headers["Link"]))
    assert len(found) == answered.headers["Link"].count("rel=")
    return found


def walk(edge: Edge, caller: Caller, target: str) -> list[list[int]]:
    """The pages that one finds by following `next`."""
    pages = []
    while target:
        answered = edge.get(target, caller)
        pages.append(numbers(answered))
        target = links(answered).get("next", "")
        assert len(pages) <= NUMBER + 1
    return pages


def flat(pages: list[list[int]]) -> list[int]:
    return [number for page in pages for number in page]


ALL = list(range(NUMBER, 0, -1))


@pytest.mark.parametrize("mode", ["page=1", "cursor="])
def test_following_the_links_finds_every_order_once(edge: Edge, mode: str) -> None:
    pages = walk(edge, ADMIN, f"{ORDERS}?{mode}&limit=60")
    assert flat(pages) == ALL
    assert [len(page) for page in pages] == [60, 60, 60, 60, 10]


@pytest.mark.parametrize("mode", ["page=1", "cursor="])
def test_links_keep_filters_and_rights(edge: Edge, mode: str) -> None:
    filters = "status=DELIVERED&status=ACCEPTED&paymentStatus=AUTHORIZED&createdAfter=2026-11-01T08%3A01%3A00%2B08%3A00&runnerId=runner_1"
    expected = [number for number in ALL if number % 2 and number >= 60]
    assert flat(walk(edge, ADMIN, f"{ORDERS}?{filters}&{mode}&limit=7")) == expected
    assert flat(walk(edge, OWNER, f"{ORDERS}?{filters}&{mode}&limit=100")) == [number for number in expected if number % 5]
    assert flat(walk(edge, RUNNER, f"{ORDERS}?{mode}&limit=100&customerId=cust_2")) == [number for number in ALL if number % 5 == 0]


def test_a_page_tells_where_the_others_are(edge: Edge) -> None:
    second = edge.get(ORDERS, OWNER, {"page": 2, "limit": 90})
    body = second.json()
    assert {name: body[name] for name in body if name != "items"} == {"total": 200, "page": 2, "pages": 3, "limit": 90}
    assert {relation: target.partition("?")[2] for relation, target in links(second).items()} == {
        "first": "page=1&limit=90",
        "prev": "page=1&limit=90",
        "next": "page=3&limit=90",
        "last": "page=3&limit=90",
    }
    assert set(links(edge.get(ORDERS, OWNER, {"limit": 90}))) == {"first", "next", "last"}
    assert set(links(edge.get(ORDERS, OWNER, {"page": 3, "limit": 90}))) == {"first", "prev", "last"}
    nothing = edge.get(ORDERS, Caller("nobody", ("customer",)))
    assert nothing.json() == {"items": [], "total": 0, "page": 1, "pages": 0, "limit": 10}
    assert set(links(nothing)) == {"first"}
    beyond = edge.get(ORDERS, OWNER, {"page": 100_000, "limit": 100})
    assert (numbers(beyond), beyond.json()["total"]) == ([], 200)


def test_more_than_ten_thousand_orders_are_not_counted(edge: Edge, brokerless: Service) -> None:
    insert(brokerless, NUMBER + 1, 10_000)
    exact = edge.get(ORDERS, ADMIN, {"page": 99, "limit": 100})
    assert {name: value for name, value in exact.json().items() if name != "items"} == {
        "total": 10_000,
        "page": 99,
        "pages": 100,
        "limit": 100,
    }
    assert set(links(exact)) == {"first", "prev", "next", "last"}
    insert(brokerless, 10_001, 10_150)
    found = {page: edge.get(ORDERS, ADMIN, {"page": page, "limit": 100}) for page in (1, 100, 102, 103, 104)}
    for page, answered in found.items():
        body = answered.json()
        assert (body["total"], body["totalIsLowerBound"], body["page"], body["pages"]) == (10_000, True, page, 100)
    assert {page: sorted(links(answered)) for page, answered in found.items()} == {
        1: ["first", "next"],
        100: ["first", "next", "prev"],
        102: ["first", "prev"],
        103: ["first"],
        104: ["first"],
    }
    assert numbers(found[102]) == list(range(50, 0, -1))
    assert "totalIsLowerBound" not in edge.get(ORDERS, OWNER).json()


def test_a_cursor_walks_on_undisturbed_by_what_is_inserted(edge: Edge, brokerless: Service) -> None:
    seen, cursor, newest, pages = [], "", NUMBER, 0
    while cursor is not None:
        answered = edge.get(ORDERS, ADMIN, {"cursor": cursor, "limit": 20})
        seen += numbers(answered)
        body = answered.json()
        assert set(body) == {"items", "limit", "nextCursor"}
        assert cursor == "" or re.fullmatch(r"[A-Za-z0-9._~-]+", cursor)
        cursor, pages = body["nextCursor"], pages + 1
        insert(brokerless, newest + 1, newest + 7)
        newest += 7
    assert seen == ALL
    assert pages == 13
    assert numbers(edge.get(ORDERS, ADMIN, {"cursor": "", "limit": 3})) == [newest, newest - 1, newest - 2]


def test_the_last_page_by_cursor_ends_also_where_it_is_full(edge: Edge) -> None:
    pages = walk(edge, ADMIN, f"{ORDERS}?cursor=&limit=50")
    assert (flat(pages), len(pages)) == (ALL, 5)
    last = edge.get(ORDERS, ADMIN, {"cursor": "", "limit": 100, "createdBefore": "2026-11-01T00:00:11Z"})
    assert (numbers(last), last.json()["nextCursor"], set(links(last))) == (list(range(10, 0, -1)), None, {"first"})


def test_a_cursor_gives_no_rights(edge: Edge) -> None:
    cursor = edge.get(ORDERS, ADMIN, {"cursor": "", "limit": 10}).json()["nextCursor"]
    mine = numbers(edge.get(ORDERS, OWNER, {"cursor": cursor, "limit": 10}))
    assert mine == [number for number in range(240, 0, -1) if number % 5][:10]
    assert numbers(edge.get(ORDERS, Caller("cust_3", ("customer",)), {"cursor": cursor})) == []


GOOD_CURSOR = "AaGUZ-gAcACAAAAAAAAAZA"
WRONG: dict[str, tuple[str, str]] = {
    "page and cursor": (f"page=1&cursor={GOOD_CURSOR}", "page"),
    "page and the first cursor": ("cursor=&page=1", "page"),
    "two cursors": (f"cursor=&cursor={GOOD_CURSOR}", "cursor"),
    "no cursor": ("cursor=hello", "cursor"),
    "half a cursor": (f"cursor={GOOD_CURSOR[:11]}", "cursor"),
    "a longer one": (f"cursor={GOOD_CURSOR}AAAA", "cursor"),
    "padded": (f"cursor={GOOD_CURSOR}%3D%3D", "cursor"),
    "spelled otherwise": (f"cursor={GOOD_CURSOR[:-1]}B", "cursor"),
    "other letters": ("cursor=%2B%2FGUZ-gAcACAAAAAAAAAZA", "cursor"),
    "a UUID": ("cursor=01a19467-e800-7000-8000-000000000064", "cursor"),
    "letters beyond ASCII": ("cursor=%C3%A4AAAAAAAAAAAAAAAAAAAAA", "cursor"),
    "no text": ("cursor=%FF", "cursor"),
    "a U+0000": ("cursor=%00", "cursor"),
    "SQL": ("cursor=%27%20OR%201%3D1--", "cursor"),
    "page 0": ("page=0", "page"),
    "page -1": ("page=-1", "page"),
    "page 1.0": ("page=1.0", "page"),
    "page 1e3": ("page=1e3", "page"),
    "page in other digits": ("page=%D9%A1", "page"),
    "page beyond": ("page=100001", "page"),
    "no page": ("page=", "page"),
    "two pages": ("page=1&page=2", "page"),
    "limit 0": ("limit=0", "limit"),
    "limit 101": ("limit=101&cursor=", "limit"),
    "a huge limit": (f"limit={'9' * 5000}", "limit"),
    "another parameter": ("offset=3", "offset"),
}


def test_what_is_no_page_is_refused_by_the_name_of_the_parameter(edge: Edge) -> None:
    assert numbers(edge.get(f"{ORDERS}?cursor={GOOD_CURSOR}&limit=2", ADMIN)) == [99, 98]
    found = {
        name: edge.get(f"{ORDERS}?{query}", ADMIN).problem(422, "invalid")["errors"][0]["pointer"] for name, (query, _) in WRONG.items()
    }
    assert found == {name: parameter for name, (_, parameter) in WRONG.items()}


def test_all_that_is_wrong_with_a_list_is_refused_at_once(edge: Edge) -> None:
    refused = edge.get(f"{ORDERS}?offset=3&page=0&page=1&limit=101&status=OPEN&status=SHUT&cursor=hello", ADMIN).problem(422, "invalid")
    assert sorted(error["pointer"] for error in refused["errors"]) == ["cursor", "limit", "offset", "page", "status"]


def test_sagas_are_walked_by_cursor_too(edge: Edge, brokerless: Service) -> None:
    placed = brokerless.world.place_many(25)
    expected = sorted((str(each.saga_id) for each in placed), reverse=True)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        body = edge.get("/api/sagas", ADMIN, {"cursor": cursor, "limit": 10, "status": "RUNNING"}).json()
        seen += [saga["sagaId"] for saga in body["items"]]
        cursor = body["nextCursor"]
        brokerless.world.place_many(3)
    assert seen == expected
    edge.get("/api/sagas", ADMIN, {"cursor": "hello"}).problem(422, "invalid")


MANY = 200_000
DEEP = 2_000


@pytest.fixture(scope="module")
def crowded(postgres_server: PostgresServer, migrated_template: str) -> Iterator[World]:
    """200,000 orders, and no index but those that a walk can use, as filling the others takes most of the time."""
    url = postgres_server.create_database(template=migrated_template)
    engine = make_engine(url, pool_size=2)
    with in_bulk(url).begin() as session:
        for name in ("orders_open", "orders_delivered"):
            session.exec_driver_sql(f"DROP INDEX campusg.{name}")
        session.exec_driver_sql(FILL.format(first=1, last=MANY))
    with sa.create_engine(url, isolation_level="AUTOCOMMIT").connect() as session:
        session.exec_driver_sql("VACUUM ANALYZE campusg.orders")
    yield World(engine, RULES)
    engine.dispose()
    postgres_server.drop_database(url)


def buffers(world: World, viewer: Viewer, filters: Filters, after: UUID | None) -> int:
    """How many of PostgreSQL's blocks one page by cursor has it look at."""
    with world.engine.connect() as session:
        with captured(world.engine) as executed:
            found = list_orders_after(session, viewer, filters, after=after, limit=10)
        assert len(found) == 10
        [statement] = executed
        explained = session.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.text}", statement.parameters)
        plan = explained.scalar_one()
        session.rollback()
    top = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


WALKS: dict[str, tuple[Viewer, Filters]] = {
    "admin": (Viewer("adm_1", frozenset({"admin"})), Filters()),
    "admin, one status": (Viewer("adm_1", frozenset({"admin"})), Filters(statuses=("DELIVERED",))),
    "customer": (Viewer("cust_2", frozenset({"customer"})), Filters()),
    "runner": (Viewer("runner_1", frozenset({"runner"})), Filters()),
    "admin, one customer": (Viewer("adm_1", frozenset({"admin"})), Filters(customer_id="cust_1")),
}


@pytest.mark.parametrize("walk", WALKS)
def test_page_two_thousand_by_cursor_costs_what_page_one_costs(crowded: World, walk: str) -> None:
    """Blocks are counted, as time depends on the machine. By OFFSET the deep page would read some thousands."""
    viewer, filters = WALKS[walk]
    deep = UUID(f"01a19467-e800-7000-8000-{MANY - 10 * (DEEP - 1):012x}")
    first, later = buffers(crowded, viewer, filters, None), buffers(crowded, viewer, filters, deep)
    assert later <= first + 4
    # A status alone is up to six stretches of an index.
    assert first <= 40
