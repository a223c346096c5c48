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

// waitScript puts an event at the end of a list. Of a list that is too long, in
// number or bytes, the oldest candidates go: what describes a session is not dropped
// for one, only for a newer description. KEYS list; ARGV event, how many, how many
// bytes, what stands in a candidate, milliseconds to live.
//
//nolint:dupword // Lua
const waitScript = `
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
local all = redis.call('LRANGE', KEYS[1], 0, -1)
local n, size = #all, 0
for _, one in ipairs(all) do size = size + #one end
for _, candidates in ipairs({true, false}) do
  for i = 1, #all - 1 do
    if n <= tonumber(ARGV[2]) and size <= tonumber(ARGV[3]) then return 0 end
    local one = all[i]
    if candidates == (string.find(one, ARGV[4], 1, true) ~= nil) then
      redis.call('LREM', KEYS[1], 1, one)
      n, size = n - 1, size - #one
    end
  end
end
return 1`

// takeScript empties a list, unless it is larger than may be: KEYS list, what the request has
// taken; ARGV milliseconds to keep that, 0: not at all, most bytes, bytes for each entry beside
// its own. A repeat of the request gets the same entries. The answer is a mark, empty where
// nothing was taken, and then the list.
const takeScript = `
local had = redis.call('LRANGE', KEYS[2], 0, -1)
local all = had
if #had == 0 then all = redis.call('LRANGE', KEYS[1], 0, -1) end
local size = 0
for _, one in ipairs(all) do size = size + #one + tonumber(ARGV[3]) end
if size > tonumber(ARGV[2]) then return {''} end
if #had == 0 and #all > 0 then
  if ARGV[1] == '0' then
    redis.call('DEL', KEYS[1])
  else
    redis.call('RENAME', KEYS[1], KEYS[2])
    redis.call('PEXPIRE', KEYS[2], ARGV[1])
  end -- of a list that goes
end
table.insert(all, 1, 'taken')
return all`
