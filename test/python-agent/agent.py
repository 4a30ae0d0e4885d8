"""An agent in another language, written from docs/writing-an-agent.md, on stock gRPC and protobuf for Python.

Numbers in comments are the numbered answers of that document. One thread runs everything (asyncio), so that nothing here is
locked. What a cluster is, and what an operation does there, is the caller's: see Agent.
"""

import asyncio
import collections
import dataclasses
import itertools
import random
import secrets
import time

import grpc

from ops import operations_pb2 as ops

import caching

Code = grpc.StatusCode

# 3. What somebody has to mend; everything else passes by itself.
REFUSALS = {
    Code.INVALID_ARGUMENT,
    Code.NOT_FOUND,
    Code.ALREADY_EXISTS,
    Code.PERMISSION_DENIED,
    Code.FAILED_PRECONDITION,
    Code.ABORTED,
    Code.UNIMPLEMENTED,
    Code.UNAUTHENTICATED,
}
SILENT_PERIODS = 3


@dataclasses.dataclass
class Limits:
    """Times in seconds; the defaults are the document's."""

    backoff: tuple = (1, 120)
    refused_backoff: tuple = (30, 120)
    stable: float = 10
    register: float = 20
    retire: float = 30
    end: float = 2
    timeout: float = 30
    drain: float = 5
    executing: int = 100
    remembered: int = 10_000
    remember: float = 3_600
    unreceipted_bytes: int = 64 << 20


def result_of(operation, status=200, message="", reason="", **body):
    """18. The account is the operation's; the status an HTTP status."""
    about = {"operation_id": operation.id, "account": operation.account}
    return ops.OperationResult(**about, status=status, message=message, reason=reason, **body)


class Stream:
    """One connection to one replica: registration, pongs, the watch for silence, and its end. It never dials again."""

    def __init__(self, agent, address):
        self.agent = agent
        self.introduction = agent.registration()
        self.registered = None
        self.end = None
        self.pushback = None
        self.silence = 0
        self.moved_on = asyncio.Event()
        self.reconnect_ms = None
        self.caching = caching.Caching(self)
        self.half_closed = False
        self.outgoing = caching.Outgoing()
        self.timer = None
        options = [
            # Otherwise gRPC gives a second dial the first one's connection, which never leads to another replica (12).
            ("grpc.use_local_subchannel_pool", 1),
            # 1.
            ("grpc.max_receive_message_length", 16 << 20),
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ]
        self.channel = grpc.aio.insecure_channel(address, options)
        # 5.
        self.metadata = [("authorization", f"Bearer {agent.token()}")] if agent.token() else []
        self.call = None
        self.task = asyncio.create_task(self.serve())

    @property
    def open(self):
        return self.registered is not None and self.end is None and not self.half_closed

    def send(self, **message):
        if self.open:
            self.outgoing.put(ops.AgentMessage(**message))

    async def serve(self):
        connect = self.channel.stream_stream(
            "/ops.Operations/Connect",
            request_serializer=ops.AgentMessage.SerializeToString,
            response_deserializer=ops.GatewayMessage.FromString,
        )
        self.outgoing.put(ops.AgentMessage(register=self.introduction))
        self.expect_within(self.agent.limits.register)
        try:
            self.call = connect(self.outgoing, metadata=self.metadata)
            async for message in self.call:
                self.receive(message)
            self.end = (await self.call.code(), await self.call.details() or "")
        except grpc.aio.AioRpcError as error:
            self.end = (error.code(), error.details() or "")
        except asyncio.CancelledError:
            self.end = (Code.CANCELLED, "cancelled by the agent")
        if self.call is not None:
            # 3. A place in the gateway's queue.
            asked = (await self.call.trailing_metadata() or {}).get("grpc-retry-pushback-ms", "")
            if asked.isdigit():
                self.pushback = int(asked) / 1_000
        self.timer.cancel()
        self.outgoing.close()
        self.caching.close()
        self.moved_on.set()
        self.agent.ended(self)
        await self.channel.close()

    def receive(self, message):
        kind = message.WhichOneof("message")
        if kind == "registered":
            self.registered = message.registered
            self.timer.cancel()
            self.moved_on.set()
            self.agent.became_registered(self)
        elif kind == "ping":
            self.send(pong=ops.Pong(sequence=message.ping.sequence))
            self.silence = message.ping.period_ms * SILENT_PERIODS / 1_000
        elif kind is not None:
            self.agent.receive(self, kind, getattr(message, kind))
        # 14. Every message counts; until the first Ping no period is known.
        if self.open and self.silence > 0:
            self.expect_within(self.silence)

    def expect_within(self, seconds):
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(seconds, self.cancel)

    def half_close(self):
        """11., 12. What was sent arrives; a gateway that does not end the stream is not waited for."""
        if self.half_closed or self.end is not None:
            return
        self.half_closed = True
        self.caching.close()
        self.outgoing.close()
        self.expect_within(self.agent.limits.end)

    def cancel(self):
        if self.call is None:
            self.task.cancel()
        else:
            self.call.cancel()


@dataclasses.dataclass
class Work:
    """An operation whose receipt has not come."""

    stream: Stream
    since: float
    answer: ops.OperationResult = None
    task: asyncio.Task = None


class Operations:
    """6. to 10.: executes each id at most once, and keeps results until their receipts come."""

    def __init__(self, agent):
        self.agent = agent
        self.work = {}
        self.receipted = collections.OrderedDict()
        self.closed = False
        self.idle = asyncio.Event()
        self.idle.set()

    def accept(self, stream, operation):
        known = self.work.get(operation.id)
        if known is not None:
            # 7. Running: its result goes to the stream that asked last. Kept: it is sent again.
            known.stream = stream
            if known.answer is not None:
                self.deliver(operation.id, known)
            return
        refusal = self.refusal(operation)
        if refusal is not None:
            stream.send(result=refusal)
            self.agent.report(refused=operation.id, status=refusal.status)
            return
        work = self.work[operation.id] = Work(stream, time.monotonic())
        self.idle.clear()
        work.task = asyncio.create_task(self.run(operation, work))

    def refusal(self, operation):
        limits = self.agent.limits
        if self.closed:
            return result_of(operation, 503, "the agent is stopping; it was not started", "ServiceUnavailable")
        if operation.id in self.receipted:
            return result_of(operation, 409, "executed before; its result is forgotten", "AlreadyExecuted")
        if operation.bound_epoch > 0 and not self.agent.is_own(operation):
            return result_of(operation, 410, "it was sent to another process of this agent", "AgentRestarted")
        kept = sum(work.answer.ByteSize() for work in self.work.values() if work.answer is not None)
        if len(self.work) >= limits.executing or kept >= limits.unreceipted_bytes:
            return result_of(operation, 429, "too much is under way", "TooManyRequests")
        return None

    async def run(self, operation, work):
        # 16.
        seconds = operation.timeout_ms / 1_000 or self.agent.limits.timeout
        try:
            if operation.account not in self.agent.accounts:
                answer = result_of(operation, 404, f"account {operation.account} is not served here", "NotFound")
            else:
                self.agent.report(executes=operation.id, account=operation.account)
                answer = await asyncio.wait_for(self.agent.execute(operation), seconds)
        except asyncio.TimeoutError:
            answer = result_of(operation, 504, f"not done within {seconds} s; it may have taken effect", "Timeout")
        except Exception as error:  # noqa: BLE001 - an operation is answered whatever happens
            answer = result_of(operation, 500, f"unexpected: {type(error).__name__}", "InternalError")
        answer.duration_ms = round((time.monotonic() - work.since) * 1_000)
        work.answer = answer
        self.deliver(operation.id, work)

    def deliver(self, operation_id, work):
        """8. Over the stream that asked, else over the current one, else when there is one."""
        stream = work.stream if work.stream.open else self.agent.current
        if stream is None or not stream.open:
            return
        work.stream = stream
        limit = stream.registered.max_message_bytes
        if 0 < limit < ops.AgentMessage(result=work.answer).ByteSize():
            # 2.
            too_large = f"the result has {work.answer.ByteSize()} bytes, the gateway accepts {limit}; ask for less"
            work.answer = result_of(
                ops.Operation(id=operation_id, account=work.answer.account), 413, too_large, "RequestEntityTooLarge"
            )
        stream.send(result=work.answer)
        self.agent.report(answers=operation_id, status=work.answer.status)

    def receipt(self, receipt):
        """9., 10. Whatever it says, the result is of no more use, and the id stays used."""
        work = self.work.get(receipt.operation_id)
        self.agent.report(receipt=receipt.operation_id, outcome=ops.ResultReceipt.Outcome.Name(receipt.outcome))
        if work is None or work.answer is None:
            return
        del self.work[receipt.operation_id]
        self.receipted[receipt.operation_id] = time.monotonic()
        limits = self.agent.limits
        while self.receipted and (
            len(self.receipted) > limits.remembered
            or next(iter(self.receipted.values())) < time.monotonic() - limits.remember
        ):
            self.receipted.popitem(last=False)
        if not self.work:
            self.idle.set()

    def resend(self):
        for operation_id, work in list(self.work.items()):
            if work.answer is not None and not work.stream.open:
                self.deliver(operation_id, work)

    def owed_by(self, stream):
        return any(work.stream is stream for work in self.work.values())


class Agent:
    """
    The connection, in the states of the document: connecting, active, reconnecting, backing-off, stopping, stopped.

    execute(operation) awaits an OperationResult; cluster(account) gives what caching.py reads objects of; report(**event)
    is told what happens; token() is asked at each dial, so that it may change.
    """

    def __init__(self, addresses, identity, accounts, execute, cluster, report, token=lambda: None, limits=Limits()):
        self.addresses = itertools.cycle(random.sample(addresses, len(addresses)))
        self.identity = identity
        self.accounts = {account.name: account for account in accounts}
        self.execute = execute
        self.cluster = cluster
        self.report = report
        self.token = token
        self.limits = limits
        self.operations = Operations(self)
        self.current = None
        self.dialled = None
        self.retiring = set()
        # 17. Made anew at each start: what this process executed, only it knows.
        self.process_id = secrets.token_urlsafe(12)
        self.epochs = collections.deque(maxlen=100)
        self.stopping = asyncio.Event()

    def registration(self):
        return ops.Registration(**self.identity, process_id=self.process_id, accounts=self.accounts.values())

    def is_own(self, operation):
        """7. Whether an operation that was sent before was sent to this process."""
        if operation.bound_process_id:
            return operation.bound_process_id == self.process_id
        return operation.bound_epoch in self.epochs

    async def run(self):
        """Dials, and dials again, until stop() is called."""
        failures, pause = 0, 0
        while not await self.stops_within(pause):
            self.say("reconnecting" if self.current else "connecting")
            stream = self.dialled = Stream(self, next(self.addresses))
            await stream.moved_on.wait()
            self.dialled = None
            began = time.monotonic()
            # Its loss, or the gateway's Reconnect.
            while stream.end is None and stream.reconnect_ms is None:
                stream.moved_on.clear()
                await stream.moved_on.wait()
            if time.monotonic() - began >= self.limits.stable:
                failures = 0
            if stream.reconnect_ms is not None:
                pause = stream.reconnect_ms / 1_000
                continue
            first, most = self.limits.refused_backoff if stream.end[0] in REFUSALS else self.limits.backoff
            if stream.pushback is None:
                pause = min(most, first * 1.6**failures) * random.uniform(0.8, 1.2)
                failures += 1
            else:
                pause = stream.pushback * random.uniform(1, 1.2)
            if self.current is None and not self.stopping.is_set():
                self.say("backing-off", seconds=pause, status=stream.end[0].name, details=stream.end[1])

    async def stops_within(self, seconds):
        try:
            await asyncio.wait_for(self.stopping.wait(), max(seconds, 0.001))
            return True
        except asyncio.TimeoutError:
            return False

    def say(self, state, **details):
        self.report(state=state, **details)

    def became_registered(self, stream):
        registered = stream.registered
        self.epochs.append(registered.epoch)
        old, self.current = self.current, stream
        self.say("active", instance=registered.clouddriver_id, epoch=registered.epoch)
        if old is not None:
            # 12., 13. The new stream caches what it is told to; the old one goes once it owes nothing.
            old.caching.close()
            self.retiring.add(old)
            asyncio.get_running_loop().call_later(self.limits.retire, old.half_close)
            self.end_if_done(old)
        self.catch_up(stream)
        self.operations.resend()

    def catch_up(self, stream):
        """15. What changed between the dial and now."""
        told = {account.name: account for account in stream.introduction.accounts}
        added = [account for name, account in self.accounts.items() if told.get(name) != account]
        removed = [name for name in told if name not in self.accounts]
        if removed:
            stream.send(accounts_removed=ops.AccountsRemoved(names=removed))
        if added:
            stream.send(accounts_added=ops.AccountsAdded(accounts=added))

    def receive(self, stream, kind, message):
        if kind == "operation":
            self.operations.accept(stream, message)
        elif kind == "receipts":
            for receipt in message.receipts:
                self.operations.receipt(receipt)
            for retiring in list(self.retiring):
                self.end_if_done(retiring)
        elif stream is not self.current or self.stopping.is_set():
            return
        elif kind == "caching":
            self.report(caches=list(message.start), stops=list(message.stop))
            stream.caching.change(message.start, message.stop)
        elif kind == "reconnect" and stream.reconnect_ms is None:
            self.say("reconnecting", reason=ops.Reconnect.Reason.Name(message.reason))
            stream.reconnect_ms = message.delay_ms
            stream.moved_on.set()
        elif kind == "add_accounts":
            # This agent takes none, and so should not be asked.
            failed = [
                ops.AccountFailure(name=each.name, version=each.version, message="dynamic accounts are not supported")
                for each in message.accounts
            ]
            stream.send(accounts_added=ops.AccountsAdded(failures=failed))
        elif kind == "delete_accounts":
            stream.send(accounts_removed=ops.AccountsRemoved(names=message.names))

    def end_if_done(self, stream):
        if not self.operations.owed_by(stream):
            stream.half_close()

    def ended(self, stream):
        self.report(ended=stream.end[0].name, details=stream.end[1])
        self.retiring.discard(stream)
        if self.current is stream:
            self.current = None
        # What its end may have swallowed.
        self.operations.resend()

    def add_accounts(self, accounts):
        """15."""
        self.accounts.update({account.name: account for account in accounts})
        if self.current is not None:
            self.current.send(accounts_added=ops.AccountsAdded(accounts=accounts))

    def remove_accounts(self, names):
        """15. Operations of them may still come: 404."""
        for name in names:
            self.accounts.pop(name, None)
        if self.current is not None:
            self.current.caching.change([], names)
            self.current.send(accounts_removed=ops.AccountsRemoved(names=names))

    async def stop(self):
        """11. Refuses what is new, lets what is under way end and be receipted, and half-closes."""
        self.say("stopping")
        self.stopping.set()
        self.operations.closed = True
        streams = [each for each in [self.dialled, self.current, *self.retiring] if each is not None]
        for stream in streams:
            stream.caching.close()
        try:
            await asyncio.wait_for(self.operations.idle.wait(), self.limits.drain)
        except asyncio.TimeoutError:
            pass
        for stream in streams:
            if stream.open:
                stream.half_close()
            elif stream.end is None and not stream.half_closed:
                stream.cancel()
        await asyncio.gather(*(stream.task for stream in streams))
        self.say("stopped")
