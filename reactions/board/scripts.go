package board

// applyScript takes one entry of a chat's reactions, if Redis is as of the entry
// before it.
//
//	KEYS  mark, when, order, counts, users
//	ARGV  mark expected, mark after, "add" or "remove", user, reaction, milliseconds, position
//
//nolint:dupword // Lua
const applyScript = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
local field = ARGV[4] .. '/' .. ARGV[5]
local step = 0
if ARGV[3] == 'add' then
  if redis.call('HSETNX', KEYS[2], field, ARGV[6]) == 1 then
    redis.call('ZADD', KEYS[3], ARGV[7], ARGV[6] .. '/' .. field)
    step = 1
  end
else
  local since = redis.call('HGET', KEYS[2], field)
  if since then
    redis.call('HDEL', KEYS[2], field)
    redis.call('ZREM', KEYS[3], since .. '/' .. field)
    step = -1
  end
end
if step ~= 0 then
  if redis.call('HINCRBY', KEYS[4], ARGV[5], step) <= 0 then redis.call('HDEL', KEYS[4], ARGV[5]) end
  if redis.call('HINCRBY', KEYS[5], ARGV[4], step) <= 0 then redis.call('HDEL', KEYS[5], ARGV[4]) end
end
return 1
`

// beginScript marks a chat, if its mark is still what was read ("": none).
//
//	KEYS  mark
//	ARGV  mark expected, mark after
const beginScript = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
`
