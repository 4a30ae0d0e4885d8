/**
 * What instances write into Redis about themselves, and the two scripts that touch it. A sorted set says when each
 * record ends, by the clock of Redis, so that the clocks of the instances do not matter; a hash holds the records.
 */

import type { Member } from './membership.js';

/** The JSON in the hash, by instance id. */
export interface InstanceRecord {
  readonly baseUrl: string;
  readonly ready: boolean;
  /** Travels with the record, so that instances with different settings understand each other. */
  readonly ttlMs: number;
}

/**
 * Writes the caller's record, drops those that ended, and answers all the others as a flat list of id, end (Unix ms),
 * JSON. Publishes the caller's id only when a reader would see a difference.
 * KEYS: ends, records, channel. ARGV: id, JSON, time to live in ms.
 */
export const syncScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local changed = redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2]
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
  changed = true
end
if changed then redis.call('PUBLISH', KEYS[3], ARGV[1]) end
local answer = {}
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

/** Removes the record of ARGV[1], and publishes that. KEYS: ends, records, channel. */
export const leaveScript = `
redis.call('HDEL', KEYS[2], ARGV[1])
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then redis.call('PUBLISH', KEYS[3], ARGV[1]) end
return 1
`;

/**
 * Reads the answer of the sync script. A record that is not one is passed over: another program, or a later version of
 * this one, wrote it.
 */
export function parseRecords(reply: unknown): Member[] {
  if (!Array.isArray(reply)) throw new Error('Redis answered something that is not a list');
  const members: Member[] = [];
  for (let i = 0; i + 2 < reply.length; i += 3) {
    const record = parseRecord(String(reply[i + 2]));
    if (record === undefined) continue;
    const { baseUrl, ready, ttlMs } = record;
    members.push({
      id: String(reply[i]),
      baseUrl,
      ready,
      lastUpdated: Number(reply[i + 1]) - ttlMs,
    });
  }
  return members;
}

function parseRecord(json: string): InstanceRecord | undefined {
  try {
    const value = JSON.parse(json) as Partial<Record<keyof InstanceRecord, unknown>> | null;
    const { baseUrl, ready, ttlMs } = value ?? {};
    if (typeof baseUrl !== 'string' || typeof ready !== 'boolean' || typeof ttlMs !== 'number') return undefined;
    return { baseUrl, ready, ttlMs };
  } catch {
    return undefined;
  }
}
