"""Who a node's workers are, as the configuration says it."""

from __future__ import annotations

from typing import Any

import pytest

from components.core.entries import InvalidEntry
from components.router.siblings.settings import parse_siblings


def test_a_worker_knows_its_number_and_all_ports() -> None:
    settings = parse_siblings({"cbdir": ".", "worker": 2, "management_ports": [8090, 8091]})
    assert (settings.worker, settings.management_ports) == (2, [8090, 8091])


@pytest.mark.parametrize(
    ("extra", "complaint"),
    [
        (None, "siblings.worker must be there"),
        ({"worker": 1}, "siblings.management_ports must be there"),
        ({"worker": 0, "management_ports": [1]}, "siblings.worker: "),
        ({"worker": 3, "management_ports": [1, 2]}, "siblings.worker must be one of 2 with a management port, was 3"),
        ({"worker": 1, "management_ports": [1, 1]}, "must be different"),
        ({"worker": 1, "management_ports": [0]}, "siblings.management_ports: "),
        ({"worker": 1, "management_ports": [1], "port": 2}, "siblings has an unknown key 'port'"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(extra: dict[str, Any] | None, complaint: str) -> None:
    with pytest.raises(InvalidEntry) as raised:
        parse_siblings(extra)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)
