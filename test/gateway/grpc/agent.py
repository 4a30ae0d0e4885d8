"""An agent on stock gRPC for Python, as somebody else would write it: registers, executes, answers pings.

Usage: agent.py DIRECTORY_OF_GENERATED_CODE ADDRESS AGENT_ID ACCOUNT. Prints one line per step; ends with the stream.
"""

import queue
import sys

sys.path.insert(0, sys.argv[1])

import grpc
from ops import operations_pb2 as ops

address, agent_id, account = sys.argv[2:5]
outgoing = queue.Queue()


def say(*words):
    print(*words, flush=True)


def execute(operation):
    result = ops.OperationResult(operation_id=operation.id, account=operation.account, status=200, duration_ms=1)
    if operation.WhichOneof("request") == "get":
        name = operation.get.object.name
        result.message = f"python got {operation.get.object.kind} {name}"
        result.objects.manifests.append(b'{"kind":"Pod","metadata":{"name":"%s"}}' % name.encode())
    return result


def main():
    outgoing.put(
        ops.AgentMessage(
            register=ops.Registration(
                agent_id=agent_id, zone_id="python_zone", version="python", accounts=[ops.Account(name=account)]
            )
        )
    )
    channel = grpc.insecure_channel(address)
    connect = channel.stream_stream(
        "/ops.Operations/Connect",
        request_serializer=ops.AgentMessage.SerializeToString,
        response_deserializer=ops.GatewayMessage.FromString,
    )
    for message in connect(iter(outgoing.get, None)):
        kind = message.WhichOneof("message")
        if kind == "registered":
            say("registered", message.registered.clouddriver_id, message.registered.epoch)
        elif kind == "operation":
            outgoing.put(ops.AgentMessage(result=execute(message.operation)))
        elif kind == "ping":
            outgoing.put(ops.AgentMessage(pong=ops.Pong(sequence=message.ping.sequence)))
            say("pong", message.ping.sequence)
        elif kind == "receipts":
            for receipt in message.receipts.receipts:
                say("receipt", ops.ResultReceipt.Outcome.Name(receipt.outcome))
        elif kind == "caching":
            say("caching", *message.caching.start)
        elif kind == "reconnect":
            outgoing.put(None)


try:
    main()
    say("ended OK")
except grpc.RpcError as error:
    say("ended", error.code().name)
outgoing.put(None)
