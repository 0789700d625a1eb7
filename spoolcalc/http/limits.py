"""How much one client, and all of them together, may ask for.  Beyond is refused, never queued."""

from __future__ import annotations

#: The longest path with its query, in bytes: 414.
LONGEST_URL = 16 * 1024
#: All headers together, in bytes: 431.
LARGEST_HEAD = 32 * 1024
#: A request's body, in bytes: 413.
LARGEST_BODY = 4 * 1024 * 1024
#: All bodies together that are held at the same time, in bytes; beyond, those of more than so many
#: bytes are refused: 503.
LARGEST_BODIES, SMALL_BODY = 64 * 1024 * 1024, 64 * 1024
#: A body that is too large is read to its end up to so many bytes, so that the client, which may
#: not listen before it has sent all, gets to hear why it was refused.
PATIENCE_BYTES = 64 * 1024 * 1024
#: Seconds in which the headers, and then the body, must have come: 408.
HEAD_TIME, BODY_TIME = 10.0, 30.0
#: Seconds in which a client must have read something of what waits for it, or it is cut off.
READ_TIME = 120.0
#: Seconds that a connection may idle between two requests.
IDLE_TIME = 30
#: Clients that are connected at the same time: 503.
MOST_CLIENTS = 1024
#: Requests that wait for a job at the same time, and pages that are kept up to date: 503.
MOST_WAITS, MOST_STREAMS = 768, 128
#: The longest wait, in seconds, and how many jobs one wait may be for.
LONGEST_WAIT, MOST_AWAITED = 60.0, 10_000
#: Jobs of one request.  They are made durable together: all or none.
MOST_JOBS = 256
#: Jobs on a page of a list, if nobody says otherwise, and at most.
PAGE, LARGEST_PAGE = 100, 1000
#: Documents that are read for one page of a list that is filtered.
MOST_READ = 10_000
#: How many bytes of the end of an output may be asked for; all of it has no limit.
LARGEST_TAIL = 999_999
#: What a refused client should wait, in seconds, before it tries again.
RETRY_AFTER = 2
#: Seconds that requests in flight have to end when the server is told to.
STOP_TIME = 10
