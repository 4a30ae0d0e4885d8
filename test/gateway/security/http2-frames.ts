/** HTTP/2 frames as bytes (RFC 9113, section 4), for peers that do what no library does. */

export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  continuation: 9,
} as const;
export const endStream = 1;
export const endHeaders = 4;

export function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Header fields without indexing and without Huffman codes (RFC 7541, 6.2.2); no text is longer than 126 bytes. */
export function fields(...list: readonly (readonly [string, string])[]): Buffer {
  const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  return Buffer.concat(list.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

/** The connection preface with SETTINGS, each an identifier and its value. */
export function preface(...settings: readonly (readonly [number, number])[]): Buffer {
  const entries = settings.map(([id, value]) => {
    const entry = Buffer.alloc(6);
    entry.writeUInt16BE(id);
    entry.writeUInt32BE(value, 2);
    return entry;
  });
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    frame(frameTypes.settings, 0, 0, Buffer.concat(entries)),
  ]);
}

/** The headers of a gRPC call. */
export function grpcCall(stream: number, path: string, ...more: readonly (readonly [string, string])[]): Buffer {
  const headers = [
    ...([
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', 'gateway'],
    ] as const),
    ...([
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
    ] as const),
  ];
  return frame(frameTypes.headers, endHeaders, stream, fields(...headers, ...more));
}

/** The headers of a request; with a body that follows when it is a POST. */
export function restRequest(stream: number, method: 'GET' | 'POST', path: string): Buffer {
  const flags = endHeaders | (method === 'GET' ? endStream : 0);
  const head = [
    [':method', method],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'gateway'],
  ] as const;
  const body = method === 'GET' ? [] : ([['content-type', 'application/json']] as const);
  return frame(frameTypes.headers, flags, stream, fields(...head, ...body));
}

/** A gRPC message behind its prefix. */
export function grpcMessage(bytes: Buffer, compressed = false): Buffer {
  const message = Buffer.alloc(5 + bytes.length);
  message[0] = compressed ? 1 : 0;
  message.writeUInt32BE(bytes.length, 1);
  bytes.copy(message, 5);
  return message;
}
