"""The pure parts of `make bench-scale`."""

from __future__ import annotations

import pytest

from bench import crowd, scale
from bench.measure import Round
from bench.scale import Finding


def rounds(*costs: float) -> list[Round]:
    return [Round(10, 1.0, 0.001, 0.002, cost, 0.0, 0, 10) for cost in costs]


def test_a_figure_above_its_bound_is_missed() -> None:
    assert Finding("x", 1.31, "×", 1.3).missed
    assert not Finding("x", 1.3, "×", 1.3).missed
    assert not Finding("x", 1.31, "×").missed


def test_cpu_times_are_compared_round_by_round() -> None:
    found = scale.cpu_finding("x", [rounds(2e-6, 4e-6, 90e-6), rounds(1e-6, 2e-6, 30e-6)], 1.3, "nginx")
    assert found.figure == 2.0
    assert found.detail == "4.0 µs beside 2.0 µs of nginx"


def test_what_more_endpoints_cost_is_compared_with_what_they_cost_nginx() -> None:
    ours, nginx = [rounds(60e-6, 62e-6, 90e-6), rounds(40e-6)], [rounds(36e-6), rounds(14e-6, 16e-6, 18e-6)]
    found = scale.extra_finding("x", ours, nginx, most=1.0)
    assert (round(found.figure, 2), found.detail) == (1.1, "22.0 µs beside 20.0 µs of nginx")
    assert found.missed


def test_the_page_says_which_bounds_are_held() -> None:
    text = scale.markdown({"mcppool": "0.1.0"}, [Finding("a", 1.0, "×", 1.3), Finding("b", 1234.0, "KiB", 300)])
    assert "1.00 × |     1.3 |   held" in text
    assert "1,234 KiB |     300 | missed" in text


@pytest.mark.parametrize(
    ("first", "last", "taken", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"\r\nxyz", 50, False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n", 50, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"\r\n\r\nab", 42, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", b"abcde", 43, True),
        (b"HTTP/1.1 200 OK\r\n", b"OK\r\n", 17, False),
    ],
)
def test_a_slow_reader_knows_when_its_answer_is_whole(first: bytes, last: bytes, taken: int, whole: bool) -> None:
    assert crowd.is_whole(first, last, taken) is whole


def test_clients_come_from_several_loopback_addresses() -> None:
    assert len({crowd.address(number) for number in range(100)}) == len(crowd.ADDRESSES)
    assert all(address.startswith("127.") for address in crowd.ADDRESSES)
