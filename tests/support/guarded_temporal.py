"""A frontend of Temporal that admits calls with an API key of its own, and passes them on."""

import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]


class GuardedTemporal(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Passes each call on to Temporal, if it has one of the keys.

    `used` has the time of the last call with each key, and with each client certificate by its
    common name; `refused` counts the other calls.
    """

    def __init__(self, channel: Any, keys: Collection[str]) -> None:
        self.keys = keys
        self.used: dict[str, float] = {}
        self.refused = 0
        self._channel = channel

    def service(self, handler_call_details: Any) -> Any:
        async def call(request: bytes, context: Any) -> bytes:
            metadata = dict(context.invocation_metadata())
            key = metadata.get("authorization", "").removeprefix("Bearer ")
            self._note(key, context)
            if key not in self.keys:
                self.refused += 1
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, 'the "key" is not valid')
            passed = [(name, value) for name, value in metadata.items() if ":" not in name]
            try:
                answer: bytes = await self._channel.unary_unary(handler_call_details.method)(
                    request, metadata=passed, timeout=context.time_remaining()
                )
            except grpc.aio.AioRpcError as error:
                # The call has Metadata, the context takes a tuple only.
                trailing = tuple(error.trailing_metadata() or ())
                await context.abort(error.code(), error.details(), trailing)
                raise
            return answer

        return grpc.unary_unary_rpc_method_handler(call)

    def _note(self, key: str, context: Any) -> None:
        names = [name.decode() for name in context.auth_context().get("x509_common_name", ())]
        for name in (key, *names):
            self.used[name] = time.monotonic()


@asynccontextmanager
async def guard(temporal: str, *keys: str) -> AsyncIterator[tuple[str, GuardedTemporal]]:
    """Run a frontend of a Temporal on loopback; yield its address."""
    async with grpc.aio.insecure_channel(temporal) as channel:
        guarded = GuardedTemporal(channel, keys)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((guarded,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}", guarded
        finally:
            # A server that runs when its event loop is closed blocks the process's end.
            await server.stop(0)
