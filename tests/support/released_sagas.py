"""The frozen rows of tests/data/released_sagas, as a database hands them out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.db import bulk
from chalicelib.messages.envelope import from_json
from chalicelib.orders import store as order_store
from chalicelib.orders.order import Order
from chalicelib.sagas import store as saga_store
from chalicelib.sagas.state import Saga

FOLDER = Path(__file__).parents[1] / "data" / "released_sagas"


@dataclass(frozen=True)
class Frozen:
    """An order in the middle of a saga: its rows, as JSON. The saga is the one that has not ended."""

    file: str
    place: str
    rows: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.file}: {self.place}"

    @property
    def order(self) -> Order:
        return order_store.order_of(_whole(self.rows["order"], order_store.ALL))

    @property
    def saga(self) -> Saga:
        [row] = [saga for saga in self.rows["sagas"] if saga["ended_at"] is None]
        return saga_store.saga_of(_whole(row, saga_store.ALL))


def frozen() -> Iterator[Frozen]:
    """All of them."""
    for file in sorted(FOLDER.glob("*.json")):
        for each in from_json(file.read_bytes()):
            yield Frozen(file.stem, each["place"], each)


def _whole(row: Mapping[str, Any], columns: bulk.Columns) -> dict[str, Any]:
    """A column that is newer than the row is null here; in a database it has the default that its migration gave it."""
    return {name: row.get(name) for name in columns}
