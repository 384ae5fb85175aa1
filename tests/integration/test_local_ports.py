"""Choosing ports."""

import socket

import pytest

from infra.stack import ports


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        taken = server.getsockname()[1]

        assert not ports.is_free(taken)
        assert "in use" in str(ports.refusal(taken))
        assert ports.accepts(ports.HOST, taken)


def test_the_next_free_port_is_taken_where_the_wanted_one_is_busy() -> None:
    wanted = ports.free_port()
    with socket.create_server((ports.HOST, wanted)):
        assert ports.free_port_from(wanted) > wanted
    assert ports.free_port_from(wanted) == wanted


def test_a_port_whose_former_connections_linger_counts_as_free() -> None:
    port = ports.free_port()
    with socket.create_server((ports.HOST, port)) as server:
        client = socket.create_connection((ports.HOST, port))
        accepted, _ = server.accept()
        # Who closes first is left with the connection in TIME_WAIT.
        accepted.close()
        client.close()

    assert ports.is_free(port)


def test_a_process_with_ports_of_its_own_chooses_among_these(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREE_PORTS", "24000-24009")

    assert {ports.free_port() for _ in range(50)} <= set(range(24000, 24010))


def test_chosen_ports_are_below_those_of_outgoing_connections() -> None:
    assert all(ports.LOWEST <= ports.free_port() <= ports.HIGHEST < 32768 for _ in range(50))
