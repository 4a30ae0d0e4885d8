"""Runs agent.py on clusters in memory, for agent.test.ts.

Usage: main.py CONFIGURATION, which is JSON: addresses, identity, accounts, and optionally token and limits. Prints a JSON object
for everything that happens; does what JSON objects on standard input say, one a line.
"""

import asyncio
import json
import sys
import time

from events import caching_pb2 as events
from ops import operations_pb2 as ops

from agent import Agent, Limits, result_of
from caching import Gone

CHANGES = events.ObjectEvent


class Cluster:
    """Pods and Secrets, with versions and a log of changes as Kubernetes has them."""

    def __init__(self, namespaces):
        self.namespaces = namespaces or [""]
        self.objects = {}
        # Versions of one process are of no use to the next.
        self.version = time.time_ns() // 1_000_000
        self.forget()
        self.changed = asyncio.Event()

    def scopes(self):
        kinds = ["Pod", "Secret", "Unheard"]
        return [{"api_version": "v1", "kind": kind, "namespace": space} for kind in kinds for space in self.namespaces]

    def put(self, obj):
        key = obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
        self.change(CHANGES.TYPE_MODIFIED if key in self.objects else CHANGES.TYPE_ADDED, key, obj)
        self.objects[key] = obj

    def delete(self, kind, namespace, name):
        self.change(CHANGES.TYPE_DELETED, (kind, namespace, name), self.objects.pop((kind, namespace, name)))

    def bookmark(self, kind, namespace):
        self.change(CHANGES.TYPE_UNSPECIFIED, (kind, namespace, ""), None)

    def forget(self):
        self.log = [(self.version, None, ("", "", ""), None)]

    def change(self, change, key, obj):
        self.version += 1
        self.log.append((self.version, change, key, obj))
        self.changed.set()

    def list(self, scope):
        found = [obj for key, obj in self.objects.items() if self.covers(scope, key)]
        return found, str(self.version)

    async def changes(self, scope, since):
        if int(since) < self.log[0][0]:
            raise Gone
        while True:
            changed = self.changed
            news = [
                (change, obj, str(version))
                for version, change, key, obj in self.log
                if version > int(since) and self.covers(scope, key)
            ]
            if news:
                return news
            await changed.wait()
            if self.changed is changed:
                self.changed = asyncio.Event()

    @staticmethod
    def covers(scope, key):
        return scope.kind == key[0] and scope.namespace in ("", key[1])


class Driver:
    def __init__(self, configuration):
        self.accounts = [ops.Account(**account) for account in configuration["accounts"]]
        self.clusters = {account.name: Cluster(account.namespaces) for account in self.accounts}
        self.released = asyncio.Event()
        self.released.set()
        self.token = configuration.get("token")
        self.stopping = None
        self.agent = Agent(
            configuration["addresses"],
            configuration["identity"],
            self.accounts,
            execute=self.execute,
            cluster=lambda account: self.clusters[account],
            report=lambda **event: print(json.dumps(event), flush=True),
            token=lambda: self.token,
            limits=Limits(**configuration.get("limits", {})),
        )

    async def execute(self, operation):
        cluster = self.clusters[operation.account]
        await self.released.wait()
        request = operation.WhichOneof("request")
        if request == "logs":
            return result_of(operation, logs=ops.LogsResult(text=b"x" * operation.logs.limit_bytes))
        if request == "deploy":
            cluster.put(json.loads(operation.deploy.manifest))
            return result_of(operation, objects=ops.Objects(manifests=[operation.deploy.manifest]))
        if request == "get":
            wanted = operation.get.object
            obj = cluster.objects.get((wanted.kind, wanted.namespace, wanted.name))
            if obj is None:
                return result_of(operation, 404, f"no {wanted.kind} {wanted.name}", "NotFound")
            return result_of(operation, objects=ops.Objects(manifests=[json.dumps(obj).encode()]))
        return result_of(operation, 501, f"{request} is not implemented", "NotImplemented")

    async def obey_all(self):
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        while line := await reader.readline():
            self.obey(**json.loads(line))

    def obey(self, put=None, delete=None, bookmark=None, forget=None, hold=None, add=None, remove=None, token=None, stop=None):
        if hold is not None:
            (self.released.clear if hold else self.released.set)()
        if put is not None:
            self.clusters[put["account"]].put(put["object"])
        if delete is not None:
            self.clusters[delete["account"]].delete(delete["kind"], delete["namespace"], delete["name"])
        if bookmark is not None:
            self.clusters[bookmark["account"]].bookmark(bookmark["kind"], bookmark["namespace"])
        if forget is not None:
            self.clusters[forget].forget()
        if add is not None:
            accounts = [ops.Account(**account) for account in add]
            self.clusters.update({account.name: Cluster(account.namespaces) for account in accounts})
            self.agent.add_accounts(accounts)
        if remove is not None:
            self.agent.remove_accounts(remove)
        if token is not None:
            self.token = token
        if stop is not None:
            self.stopping = asyncio.create_task(self.agent.stop())


async def main():
    driver = Driver(json.loads(sys.argv[1]))
    commands = asyncio.create_task(driver.obey_all())
    await driver.agent.run()
    await driver.stopping
    commands.cancel()


asyncio.run(main())
