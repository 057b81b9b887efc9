"""An event loop in a thread of its own: for synchronous calls of asynchronous code, and for what must stay on one loop."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class BackgroundLoop:
    """Runs coroutines in its thread, which begins with the first of them. May be used again after ``close``.

    >>> loop = BackgroundLoop()
    >>> loop.run(asyncio.sleep(0, "done"))
    'done'
    >>> loop.close()
    """

    def __init__(self) -> None:
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None
        self._starting = threading.Lock()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Wait for ``work``, also where the calling thread has a loop that runs (a notebook). An interrupt cancels ``work``."""
        future = self._submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Wait for ``work`` from any event loop. Cancelling the call cancels ``work``."""
        return await asyncio.wrap_future(self._submit(work))

    def close(self, last: Callable[[], Coroutine[Any, Any, Any]] | None = None) -> None:
        """Cancel what still runs, run ``last``, and end the thread. May be called twice."""
        with self._starting:
            running, self._running = self._running, None
        if running is None:
            return
        loop, thread = running
        try:
            asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result()
            if last is not None:
                asyncio.run_coroutine_threadsafe(last(), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _submit(self, work: Coroutine[Any, Any, _T]) -> "Future[_T]":
        with self._starting:
            if self._running is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=loop.run_forever, name="medllm", daemon=True)
                thread.start()
                self._running = loop, thread
            return asyncio.run_coroutine_threadsafe(work, self._running[0])


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


async def together(work: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """The results of all, in order. If one fails, or the call is cancelled, none of them is left running."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await cancel(tasks)


async def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel those that still run, and wait until they have ended."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
