package calls

// keepScript writes a record over an older one, or where there is none: KEYS call;
// ARGV position, record, milliseconds to live.
const keepScript = `
local have = redis.call('HGET', KEYS[1], 'at')
if have and tonumber(have) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'at', ARGV[1], 'call', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`

// settledScript notes of a record that is there what needs no second look: KEYS
// call; ARGV fields.
const settledScript = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for i = 1, #ARGV do redis.call('HSET', KEYS[1], ARGV[i], '1') end
return 1`

// dropScript removes a record that the log does not know: KEYS call; ARGV position.
const dropScript = `
if redis.call('HGET', KEYS[1], 'at') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`

// swapScript replaces a slot that is still what was read: KEYS slot; ARGV old, new,
// milliseconds to live.
const swapScript = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`

// waitScript puts an event at the end of a list. Of a list that is too long the
// oldest candidate goes: what describes a session is never dropped for one. KEYS
// list; ARGV event, how many, what stands in a candidate, milliseconds to live.
//
//nolint:dupword // Lua
const waitScript = `
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if redis.call('LLEN', KEYS[1]) <= tonumber(ARGV[2]) then return 0 end
for _, one in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  if string.find(one, ARGV[3], 1, true) then return redis.call('LREM', KEYS[1], 1, one) end
end
redis.call('LPOP', KEYS[1])
return 1`

// takeScript empties a list: KEYS list.
const takeScript = `
local all = redis.call('LRANGE', KEYS[1], 0, -1)
redis.call('DEL', KEYS[1])
return all`
