"""The two drivers of flows: blocking and asyncio.

They only send, wait and read. They are deliberately alike: what one does, the other does with
`await`. All decisions (retries, paging, resuming, parsing) are made elsewhere, once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import httpx

from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.calls import (
    AwaitedListing,
    Call,
    Drain,
    Flow,
    Listed,
    Page,
    Pause,
    Send,
    T,
)
from secureflow.sdk.connection import Connection, exchange, has_ended, refused, renewed, reopen
from secureflow.sdk.events import Event, Subscription


class BlockingDriver:
    """Runs flows on `httpx.Client`."""

    def __init__(self, connection: Connection, http: httpx.Client) -> None:
        self.connection = connection
        self.http = http
        self.sleep = time.sleep

    def run(self, flow: Flow[T]) -> T:
        """Perform a flow's steps and return its result."""
        steps = iter(flow)
        try:
            step = next(steps)
            while True:
                try:
                    result = self._perform(step)
                except (httpx.TransportError, SecureFlowError) as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as end:
            return cast("T", end.value)

    def pages(self, call: Call[Page[T]]) -> Iterator[T]:
        """Yield a list's items page by page."""
        while True:
            page = self.run(call)
            self.connection.report_damaged(page.damaged)
            yield from page.items
            if not page.next:
                return
            call = call.at(page.next)

    def listing(self, call: Call[Page[T]]) -> Listed[T]:
        """Return a list's items, to be iterated over or shown as a table."""
        return Listed(self, call)

    def follow(self, subscription: Subscription) -> Iterator[Event]:
        """Yield events until the job has ended, resuming after breaks."""
        observer = subscription.observer
        if observer is None:
            yield from self._follow(subscription)
            return
        self.run(observer.begin())
        try:
            for event in self._follow(subscription):
                observer.take(event)
                yield event
            if not subscription.paused:
                self.run(observer.finish())
        finally:
            if not subscription.paused:
                observer.close()

    def _follow(self, subscription: Subscription) -> Iterator[Event]:
        while not subscription.done:
            broken: httpx.TransportError | None = None
            token = self.connection.token
            try:
                yield from self._events(subscription)
                if not subscription.done:
                    subscription.done = self.run(has_ended(self.connection, subscription))
            except httpx.TransportError as error:
                broken = error
            except SecureFlowError as error:
                if not self.run(renewed(self.connection, error, token)):
                    raise
                continue
            if not subscription.done:
                self.sleep(reopen(subscription, self.connection.url, broken))

    def _events(self, subscription: Subscription) -> Iterator[Event]:
        response = self.http.send(self.connection.events_request(subscription), stream=True)
        try:
            if not response.is_success:
                response.read()
                raise refused(response)
            for chunk in response.iter_bytes():
                yield from subscription.feed(chunk)
                if subscription.done:  # the server keeps the stream of a paused job open
                    return
        finally:
            response.close()

    def _perform(self, step: Any) -> Any:
        match step:
            case Call():
                return self.run(exchange(self.connection, step))
            case Send(request=request):
                return self.http.send(request)
            case Pause(seconds=seconds):
                return self.sleep(seconds)
            case Drain(subscription=subscription):
                return sum(1 for _ in self.follow(subscription))
        raise TypeError(step)


class AwaitingDriver:
    """Runs flows on `httpx.AsyncClient`."""

    def __init__(self, connection: Connection, http: httpx.AsyncClient) -> None:
        self.connection = connection
        self.http = http
        self.sleep = asyncio.sleep

    async def run(self, flow: Flow[T]) -> T:
        """Perform a flow's steps and return its result."""
        steps = iter(flow)
        try:
            step = next(steps)
            while True:
                try:
                    result = await self._perform(step)
                except (httpx.TransportError, SecureFlowError) as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as end:
            return cast("T", end.value)

    async def pages(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """Yield a list's items page by page."""
        while True:
            page = await self.run(call)
            self.connection.report_damaged(page.damaged)
            for item in page.items:
                yield item
            if not page.next:
                return
            call = call.at(page.next)

    def listing(self, call: Call[Page[T]]) -> AwaitedListing[T]:
        """Return a list's items, to be iterated over or shown as a table."""
        return AwaitedListing(self, call)

    async def follow(self, subscription: Subscription) -> AsyncIterator[Event]:
        """Yield events until the job has ended, resuming after breaks."""
        observer = subscription.observer
        if observer is None:
            async for event in self._follow(subscription):
                yield event
            return
        await self.run(observer.begin())
        try:
            async for event in self._follow(subscription):
                observer.take(event)
                yield event
            if not subscription.paused:
                await self.run(observer.finish())
        finally:
            if not subscription.paused:
                observer.close()

    async def _follow(self, subscription: Subscription) -> AsyncIterator[Event]:
        while not subscription.done:
            broken: httpx.TransportError | None = None
            token = self.connection.token
            try:
                async for event in self._events(subscription):
                    yield event
                if not subscription.done:
                    subscription.done = await self.run(has_ended(self.connection, subscription))
            except httpx.TransportError as error:
                broken = error
            except SecureFlowError as error:
                if not await self.run(renewed(self.connection, error, token)):
                    raise
                continue
            if not subscription.done:
                await self.sleep(reopen(subscription, self.connection.url, broken))

    async def _events(self, subscription: Subscription) -> AsyncIterator[Event]:
        response = await self.http.send(self.connection.events_request(subscription), stream=True)
        try:
            if not response.is_success:
                await response.aread()
                raise refused(response)
            async for chunk in response.aiter_bytes():
                for event in subscription.feed(chunk):
                    yield event
                if subscription.done:  # the server keeps the stream of a paused job open
                    return
        finally:
            await response.aclose()

    async def _perform(self, step: Any) -> Any:
        match step:
            case Call():
                return await self.run(exchange(self.connection, step))
            case Send(request=request):
                return await self.http.send(request)
            case Pause(seconds=seconds):
                return await self.sleep(seconds)
            case Drain(subscription=subscription):
                return len([None async for _ in self.follow(subscription)])
        raise TypeError(step)
