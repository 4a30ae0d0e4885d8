/**
 * The Lua scripts of the mirror. KEYS[1] is the hash: a field per account, and three fields of the mirror itself, whose
 * names begin with NUL so that no account can have them. They live in the same hash so that any loss
 * (flush, eviction, an old snapshot) affects them together.
 */

/** Field names that begin with this are not accounts. */
export const ownFieldPrefix = '\0';

/**
 * Gives generation, sequence, when the last completed rebuild had begun, and the server's time (both in µs; '0':
 * never). TIME comes from the same server as the hash, so that the two can be compared in a cluster too.
 */
export const positionScript = `
local fields = redis.call('HMGET', KEYS[1], '\\0generation', '\\0sequence', '\\0completed')
local time = redis.call('TIME')
return { fields[1] or '', fields[2] or '0', fields[3] or '0', string.format('%.0f', time[1] * 1000000 + time[2]) }
`;

/**
 * ARGV: channel ('' publishes nothing and counts no sequence), a generation for a hash that has none, number of
 * removals, (account, version) for each, then (account, version, value) for each write. Writes where the version is
 * newer, removes where it is not. Gives the number of accounts changed.
 */
export const writeScript = `
local function version(value) return value and tonumber(string.match(value, '^%[(%d+)')) or -1 end
redis.call('HSETNX', KEYS[1], '\\0generation', ARGV[2])
local changes, removed, index = {}, {}, 4
for _ = 1, tonumber(ARGV[3]) do
  local account, upto = ARGV[index], ARGV[index + 1]
  local known = redis.call('HGET', KEYS[1], account)
  if known and version(known) <= tonumber(upto) then
    redis.call('HDEL', KEYS[1], account)
    removed[#removed + 1] = '[' .. cjson.encode(account) .. ',' .. upto .. ']'
  end
  index = index + 2
end
while index < #ARGV do
  local account, value = ARGV[index], ARGV[index + 2]
  if version(redis.call('HGET', KEYS[1], account)) < tonumber(ARGV[index + 1]) then
    redis.call('HSET', KEYS[1], account, value)
    changes[#changes + 1] = '[' .. cjson.encode(account) .. ',' .. value .. ']'
  end
  index = index + 3
end
local count = #changes + #removed
if count > 0 and ARGV[1] ~= '' then
  local sequence = redis.call('HINCRBY', KEYS[1], '\\0sequence', 1)
  redis.call('PUBLISH', ARGV[1], '{"generation":' .. cjson.encode(redis.call('HGET', KEYS[1], '\\0generation')) ..
    ',"sequence":' .. string.format('%.0f', sequence) ..
    ',"changes":[' .. table.concat(changes, ',') .. '],"removed":[' .. table.concat(removed, ',') .. ']}')
end
return count
`;

/**
 * Ends a rebuild: KEYS[2] is the lock; ARGV: its token, channel, the new generation, when the rebuild began (µs).
 * Returns 0 if the lock was lost, perhaps with the data; 1 if the hash is now complete and all replicas were told.
 */
export const completeScript = `
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local sequence = redis.call('HINCRBY', KEYS[1], '\\0sequence', 1)
redis.call('HSET', KEYS[1], '\\0generation', ARGV[3], '\\0completed', ARGV[4])
redis.call('PUBLISH', ARGV[2], '{"generation":' .. cjson.encode(ARGV[3]) ..
  ',"sequence":' .. string.format('%.0f', sequence) .. ',"changes":[],"removed":[]}')
return 1
`;

/** KEYS[1] is the lock; ARGV: token, ms to keep holding it (0 releases it). Returns 0 if it is no longer ours. */
export const lockScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
`;
