"""Many clients at once, a server that is told to end, thousands of requests by the contract."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Process
    from http_server import Server

#: Clients that wait, clients that submit, how much they submit a second together, for how long.
WAITERS, SUBMITTERS, RATE = 200, 64, 1000
#: Requests made from the contract.
REQUESTS = 2000
SECONDS = float(os.environ.get("SPOOL_LOAD_SECONDS", "10"))
ADD = b"POST /api/v1/add/12/23 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
#: What is waited for: it is held for three seconds and more.
JOB = b'{"operation": "neg", "operands": ["1"], "delay": 3}'
LATER = (
    b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(JOB), JOB)
)


class Load:
    """Clients of one port.  ``acknowledged`` are the ids they were given."""

    def __init__(self, port: int, until: float) -> None:
        self.acknowledged: list[str] = []
        self.waited = 0
        self.told_to_come_again = 0
        self._port = port
        self._until = until
        self._due = time.monotonic()

    async def run(self) -> None:
        """Submit and wait until the time is up."""
        await asyncio.gather(
            *(self._client(self._submit) for _ in range(SUBMITTERS)),
            *(self._client(self._wait) for _ in range(WAITERS)),
        )

    async def _client(self, ask: Callable[[Any, Any], Any]) -> None:
        while time.monotonic() < self._until:
            with suppress(OSError, asyncio.IncompleteReadError):  # the server is being replaced
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    while time.monotonic() < self._until:
                        await ask(reader, writer)
                finally:
                    writer.close()
            await asyncio.sleep(0.05)

    async def _submit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._due = max(self._due + 1 / RATE, time.monotonic() - 0.5)
        await asyncio.sleep(max(0.0, self._due - time.monotonic()))
        writer.write(ADD)
        status, body = await _answer(reader)
        if status == 202:
            self.acknowledged.append(json.loads(body)["id"])

    async def _wait(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(LATER)
        status, body = await _answer(reader)
        if status == 202:
            job_id = json.loads(body)["id"]
            self.acknowledged.append(job_id)
            path = f"/api/v1/job/{job_id}?wait=20"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            status, body = await _answer(reader)
        assert status in (200, 503), body
        if status == 503:
            self.told_to_come_again += 1
            await asyncio.sleep(0.1)
        elif json.loads(body)["status"] == "completed":
            self.waited += 1


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None, head
    return int(head[9:12]), await reader.readexactly(int(length[1]))


def peak(pid: int) -> int:
    """Return the most memory a process has had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) // 1024


@pytest.mark.slow
def test_nothing_is_lost_under_load(
    serve: Callable[..., Server], start: Callable[..., Process], tmp_path: Path
) -> None:
    """SIGTERM in the middle, another server in its place: what was acknowledged is there."""
    home = tmp_path / "home"
    server = serve(home=home)
    start("--spool", server.spool.path, "work", "-q")
    load = Load(server.port, time.monotonic() + SECONDS)
    peaks = []

    async def scenario() -> None:
        clients = asyncio.create_task(load.run())
        await asyncio.sleep(SECONDS / 2)
        peaks.append(peak(server.process.pid))
        server.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        code = await asyncio.to_thread(server.process.wait, 20)
        assert code == 0
        print(f"ended after {time.monotonic() - began:.1f} s")
        again = await asyncio.to_thread(
            lambda: serve("--listen", f"127.0.0.1:{server.port}", home=home)
        )
        await clients
        peaks.append(peak(again.process.pid))

    asyncio.run(scenario())
    there = {job.id for state in State for job in server.spool.list(state)}
    # A job may move on between two of these looks; whoever was missed is asked for by id.
    lost = [i for i in load.acknowledged if i not in there and not server.spool.find(i)]
    print(
        f"{len(load.acknowledged)} acknowledged in {SECONDS:g} s, {load.waited} waits ended, "
        f"{load.told_to_come_again} told to come again, {peaks} MiB"
    )
    assert lost == []
    assert len(load.acknowledged) > 50 * SECONDS
    assert load.waited > WAITERS / 2
    assert max(peaks) < 200


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_contract_is_kept(
    http: Server, start: Callable[..., Process], until: Callable[..., Any]
) -> None:
    """Requests made from it, in sequences, valid and not: no 5xx, and no answer it does not have.

    That of what is valid in form not all is good (no such job) is as it should be.
    """
    import schemathesis
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.errors import FlakyStrategyDefinition
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    start("--spool", http.spool.path, "work", "-q")
    until(lambda: http.get("/readyz").status == 200)
    statuses: Counter[int] = Counter()
    failures: list[str] = []
    # A stream does not end; everything else is asked for.
    schema = schemathesis.openapi.from_url(f"{http.url}/openapi.json").exclude(
        path=["/api/v1/events"]
    )

    # What hardly any text is by chance: two numbers.
    good = itertools.cycle(
        [None]
        + [
            {"operation": operation, "operands": ["1", "0"], **options}
            for operation, options in (("add", {}), ("div", {}), ("mul", {"delay": 3600}))
        ]
    )

    class Machine(schema.as_state_machine()):  # type: ignore[misc] # made of the contract
        def before_call(self, case: Any) -> None:
            body = next(good)
            if case.operation.label == "POST /api/v1/jobs" and body is not None:
                case.body = body

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            statuses[response.status_code] += 1
            try:
                case.validate_response(
                    response,
                    checks=[
                        not_a_server_error,
                        status_code_conformance,
                        content_type_conformance,
                        response_schema_conformance,
                    ],
                )
            except BaseException as failure:
                failures.append(f"{case.method} {case.formatted_path}: {failure}")
                raise

    began = time.monotonic()
    while sum(statuses.values()) < REQUESTS:
        assert time.monotonic() - began < 200, statuses
        # The spool is not as it was before: when that shows, another run begins.
        with suppress(FlakyStrategyDefinition):
            Machine.run(
                settings=settings(
                    max_examples=50,
                    stateful_step_count=10,
                    deadline=None,
                    database=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
            )
        assert failures == []
    print(f"{sum(statuses.values())} requests: {sorted(statuses.items())}")
    assert statuses[202] > 10
