"""events.Caching: sends the objects of the accounts that the gateway assigned to one connection, and nothing else.

Numbers in comments are the numbered answers of docs/writing-an-agent.md. Nothing is kept to be sent again: when the stream is
lost, each account begins anew where the gateway says that it has got to.
"""

import asyncio
import collections
import json

import grpc

from events import caching_pb2 as events

WINDOW_BYTES = 1 << 20
MESSAGE_BYTES = 128 << 10


class Gone(Exception):
    """The cluster has forgotten the version that a watch was to begin from (Kubernetes: 410)."""


def group_of(api_version):
    return api_version.rpartition("/")[0]


def is_named(api_version, kind, names):
    wanted = {kind.lower(), f"{kind}.{group_of(api_version)}".lower()}
    return any(name.lower() in wanted for name in names)


def is_wanted(scope, selection):
    """26. What the gateway does not keep is not sent."""
    named = selection.all or is_named(scope.api_version, scope.kind, selection.kinds)
    return named and not is_named(scope.api_version, scope.kind, selection.omitted)


def key_of(scope):
    """The version of the API does not matter for resuming."""
    return scope.account, group_of(scope.api_version), scope.kind, scope.namespace


def body_of(obj):
    """Data of Secrets never leaves the cluster."""
    if obj["kind"] == "Secret":
        obj = {key: value for key, value in obj.items() if key not in ("data", "stringData")}
        annotations = dict(obj["metadata"].get("annotations", {}))
        annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
        obj["metadata"] = {**obj["metadata"], "annotations": annotations}
    return json.dumps(obj).encode()


class Outgoing:
    """What a stream sends, until close()."""

    def __init__(self):
        self.queue = asyncio.Queue()

    def put(self, message):
        self.queue.put_nowait(message)

    def close(self):
        self.queue.put_nowait(None)

    def __aiter__(self):
        return self

    async def __anext__(self):
        message = await self.queue.get()
        if message is None:
            raise StopAsyncIteration
        return message


class Caching:
    def __init__(self, stream):
        self.stream = stream
        self.wanted = set()
        self.asked = set()
        self.running = {}
        self.task = None
        self.closed = False
        self.lost()

    @property
    def agent(self):
        return self.stream.agent

    def lost(self):
        """A new stream counts anew (19)."""
        self.outgoing = Outgoing()
        self.sequence = 0
        self.unacknowledged = collections.deque()
        self.bytes = 0
        self.room = asyncio.Event()
        self.room.set()
        self.asked.clear()

    def change(self, start, stop):
        """13. A CachingAssignment names what changes."""
        for account in stop:
            self.wanted.discard(account)
            self.end(account)
        self.wanted.update(start)
        self.ask()

    def ask(self):
        accounts = sorted(self.wanted - self.asked - self.running.keys())
        if self.closed or not accounts:
            return
        if self.task is None:
            self.task = asyncio.create_task(self.serve())
        self.asked.update(accounts)
        hello = {"agent_id": self.agent.identity["agent_id"], "epoch": self.stream.registered.epoch}
        self.outgoing.put(events.CachingMessage(hello=events.CachingHello(**hello, accounts=accounts)))

    def ask_later(self):
        asyncio.get_running_loop().call_later(self.agent.limits.backoff[0], self.ask)

    async def serve(self):
        # 24. On the connection of the Operations stream.
        stream = self.stream.channel.stream_stream(
            "/events.Caching/Stream",
            request_serializer=events.CachingMessage.SerializeToString,
            response_deserializer=events.CachingReply.FromString,
        )
        try:
            async for reply in stream(self.outgoing, metadata=self.stream.metadata):
                self.receive(reply)
        except grpc.aio.AioRpcError as error:
            self.agent.report(caching_ended=error.code().name, details=error.details())
        except asyncio.CancelledError:
            # close(), or the connection was closed below it.
            pass
        self.task = None
        self.outgoing.close()
        for account in list(self.running):
            self.end(account)
        self.lost()
        if self.wanted and not self.closed:
            self.ask_later()

    def receive(self, reply):
        kind = reply.WhichOneof("message")
        if kind == "resume":
            for account in reply.resume.accounts:
                self.asked.discard(account)
                if account in self.wanted and account not in self.running:
                    self.begin(account, reply.resume)
        elif kind == "acknowledgement":
            while self.unacknowledged and self.unacknowledged[0][0] <= reply.acknowledgement.sequence:
                self.bytes -= self.unacknowledged.popleft()[1]
            self.room.set()
            self.agent.report(acknowledged=reply.acknowledgement.sequence)
        elif kind == "stop":
            for account in reply.stop.accounts:
                self.asked.discard(account)
                self.end(account)
            # A CachingAssignment may be on its way that takes them back, or gives them again.
            if self.wanted.intersection(reply.stop.accounts):
                self.ask_later()

    def begin(self, account, resume):
        points = {key_of(point.scope): point.resource_version for point in resume.points}
        cluster = self.agent.cluster(account)
        scopes = [events.Scope(account=account, **each) for each in cluster.scopes()]
        self.running[account] = [
            asyncio.create_task(self.feed(cluster, scope, points.get(key_of(scope))))
            for scope in scopes
            if is_wanted(scope, resume.kinds)
        ]

    def end(self, account):
        for feed in self.running.pop(account, []):
            feed.cancel()

    async def feed(self, cluster, scope, version):
        """23. One scope: from where the gateway has got to, else from a snapshot, and then every change."""
        where = {"account": scope.account, "kind": scope.kind, "namespace": scope.namespace}
        if version is not None:
            self.agent.report(resumes=where, version=version)
        while True:
            try:
                if version is None:
                    self.agent.report(snapshot=where)
                    version = await self.snapshot(cluster, scope)
                changes = await cluster.changes(scope, version)
            except Gone:
                version = None
                continue
            for change, obj, at in changes:
                # 20. Without an object: a bookmark.
                changed = [] if obj is None else [events.ObjectEvent(type=change, object=body_of(obj))]
                await self.send(events=dict(scope=scope, events=changed, resource_version=at))
                version = at

    async def snapshot(self, cluster, scope):
        """21. The version at the end is the list's, from which the watch goes on."""
        await self.send(snapshot_start=dict(scope=scope))
        objects, version = cluster.list(scope)
        message, size = [], 0
        for obj in objects:
            message.append(events.ObjectEvent(type=events.ObjectEvent.TYPE_ADDED, object=body_of(obj)))
            size += len(message[-1].object)
            if size >= MESSAGE_BYTES:
                await self.send(events=dict(scope=scope, events=message))
                message, size = [], 0
        if message:
            await self.send(events=dict(scope=scope, events=message))
        await self.send(snapshot_end=dict(scope=scope, resource_version=version))
        return version

    async def send(self, **message):
        """Waits while too much is under way. 19. One count for events and brackets, from 1."""
        while self.bytes >= WINDOW_BYTES:
            self.room.clear()
            await self.room.wait()
        ((kind, fields),) = message.items()
        self.sequence += 1
        built = events.CachingMessage(**{kind: {**fields, "sequence": self.sequence}})
        size = built.ByteSize()
        self.unacknowledged.append((self.sequence, size))
        self.bytes += size
        self.outgoing.put(built)

    def close(self):
        """25. Half-closed: what was sent is committed. The end of the connection ends it in any case."""
        self.closed = True
        for account in list(self.running):
            self.end(account)
        self.outgoing.close()
