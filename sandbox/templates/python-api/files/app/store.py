"""What the routes need of a database; this one lives as long as the process."""

import threading
import uuid
from typing import Any

Record = dict[str, Any]


class Store:
    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._lock = threading.Lock()

    def list(self) -> list[Record]:
        with self._lock:
            return list(self._records.values())

    def get(self, record_id: str) -> Record | None:
        with self._lock:
            return self._records.get(record_id)

    def create(self, values: Record) -> Record:
        record = {**values, "id": str(uuid.uuid4())}
        with self._lock:
            self._records[record["id"]] = record
        return record

    def replace(self, record_id: str, values: Record) -> Record | None:
        with self._lock:
            if record_id not in self._records:
                return None
            self._records[record_id] = {**values, "id": record_id}
            return self._records[record_id]

    def remove(self, record_id: str) -> bool:
        """False when there was none."""
        with self._lock:
            return self._records.pop(record_id, None) is not None
