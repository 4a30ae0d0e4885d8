/**
 * The records of instances in Redis, and the two scripts that use them. A sorted set says when each
 * record expires, by the clock of Redis, so that the clocks of the instances do not matter; a hash holds the records.
 * An instance that leaves says so in its record: a missing record may only mean that Redis lost it.
 */

/** The JSON in the hash, by instance id; `{"left": true}` after leaving. */
export interface RedisInstanceRecord {
  readonly baseUrl: string;
  readonly ready: boolean;
  /** Part of the record, so that instances with different settings understand each other. */
  readonly ttlMs: number;
}

export interface RecordsReply {
  /** The clock of Redis, in Unix ms. */
  readonly now: number;
  /** The expiry and content of each record; undefined: the instance left, or the record is not understood. */
  readonly records: ReadonlyMap<string, { readonly end: number; readonly record: RedisInstanceRecord | undefined }>;
}

/** Writes ARGV[2] as the record of ARGV[1] for ARGV[3] ms. */
const write = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local changed = redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2]
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
`;

/**
 * Writes the caller's record, drops those that ended, and answers the time and all records, as a flat list of id, end,
 * JSON. Publishes the caller's id only if readers would see a difference.
 * KEYS: ends, records, channel. ARGV: id, JSON, time to live in ms.
 */
export const syncScript = `${write}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
  changed = true
end
if changed then redis.call('PUBLISH', KEYS[3], ARGV[1]) end
local answer = { string.format('%.0f', now) }
local ends = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #ends, 2 do
  local json = redis.call('HGET', KEYS[2], ends[i])
  if json then
    table.insert(answer, ends[i])
    table.insert(answer, string.format('%.0f', ends[i + 1]))
    table.insert(answer, json)
  end
end
return answer
`;

/** Like the sync script, with `leftRecord`; answers nothing. */
export const leaveScript = `${write}
redis.call('PUBLISH', KEYS[3], ARGV[1])
return 1
`;

export const leftRecord = JSON.stringify({ left: true });

/** Reads the answer of the sync script. @throws Error if it is not one */
export function parseReply(reply: unknown): RecordsReply {
  if (!Array.isArray(reply) || reply.length % 3 !== 1) throw new Error('Redis did not answer with records');
  const [now, ...rest] = reply.map(String);
  const records = new Map<string, { end: number; record: RedisInstanceRecord | undefined }>();
  for (let i = 0; i < rest.length; i += 3) {
    const [id = '', end, json = ''] = rest.slice(i, i + 3);
    records.set(id, { end: Number(end), record: parseRecord(json) });
  }
  return { now: Number(now), records };
}

function parseRecord(json: string): RedisInstanceRecord | undefined {
  try {
    const value = JSON.parse(json) as Partial<Record<keyof RedisInstanceRecord, unknown>> | null;
    const { baseUrl, ready, ttlMs } = value ?? {};
    if (typeof baseUrl !== 'string' || typeof ready !== 'boolean' || typeof ttlMs !== 'number') return undefined;
    return { baseUrl, ready, ttlMs };
  } catch {
    return undefined;
  }
}
