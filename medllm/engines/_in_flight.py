"""How many requests a server is sent at a time: a bound that adapts to what the server takes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

FIRST = 8


class InFlight:
    """A bound between 1 and ``most``, which begins at 8: doubled while the server has nobody waiting, halved when it is overloaded.

    ``full`` says whether requests wait in the server, asked once for every round of answers; more of them would only wait too.
    Belongs to one event loop.
    """

    def __init__(self, most: int, full: Callable[[], Awaitable[bool]]) -> None:
        self.most = most
        self.limit = min(FIRST, most)
        self.running = 0
        self._full = full
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._answers = 0
        self._reached = False
        self._asking = False

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place, and hold it."""
        while self.running >= self.limit:
            self._reached = True
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                if place.cancelled():
                    self._waiting.remove(place)
                else:
                    self._wake()
                raise
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._wake()

    async def went_well(self) -> None:
        """An answer came: after as many as the bound, it grows, if it was reached and the server has room."""
        self._answers += 1
        if self._answers < self.limit or not self._reached or self.limit == self.most or self._asking:
            return
        self._asking = True
        try:
            full = await self._full()
        finally:
            self._asking = False
        self._answers, self._reached = 0, False
        if not full:
            self.limit = min(2 * self.limit, self.most)
            self._wake()

    def overloaded(self) -> None:
        """The server has too much to do. Requests that were sent before this one was answered count once."""
        if self._answers or self.limit <= FIRST:
            self.limit = max(1, self.limit // 2)
        self._answers = 0

    def _wake(self) -> None:
        free = self.limit - self.running
        while self._waiting and free > 0:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                free -= 1
