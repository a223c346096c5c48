package notices

// keysScript opens every script.
//
//	KEYS  at, order, unread, bodies, about, expires, keys, pushed
const keysScript = `
local function drop(ids)
  if #ids == 0 then return end
  redis.call('ZREM', KEYS[2], unpack(ids))
  redis.call('SREM', KEYS[3], unpack(ids))
  redis.call('HDEL', KEYS[4], unpack(ids))
  redis.call('HDEL', KEYS[5], unpack(ids))
  redis.call('ZREM', KEYS[6], unpack(ids))
end
local function sweep(now)
  drop(redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', now))
end
`

// applyScript takes one entry of the log, if Redis is as of the entry before it.
// What has expired by the entry's time goes first: so what is kept depends on the
// log alone.
//
//	ARGV  mark expected, mark after, time; then
//	      "new", id, position, expires, mark of the key, time of the id, most kept, most keys kept, body, about
//	      "read" or "clear", ids …
const applyScript = keysScript + `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
sweep(ARGV[3])
if ARGV[4] == 'new' then
  local id = ARGV[5]
  redis.call('ZADD', KEYS[2], ARGV[6], id)
  redis.call('SADD', KEYS[3], id)
  redis.call('HSET', KEYS[4], id, ARGV[12])
  redis.call('HSET', KEYS[5], id, ARGV[13])
  redis.call('ZADD', KEYS[6], ARGV[7], id)
  redis.call('ZADD', KEYS[7], ARGV[9], ARGV[8])
  local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[10])
  if over > 0 then drop(redis.call('ZRANGE', KEYS[2], 0, over - 1)) end
  over = redis.call('ZCARD', KEYS[7]) - tonumber(ARGV[11])
  if over > 0 then redis.call('ZREMRANGEBYRANK', KEYS[7], 0, over - 1) end
  return 1
end
local ids = {}
for i = 5, #ARGV do ids[#ids + 1] = ARGV[i] end
if ARGV[4] == 'clear' then drop(ids) elseif #ids > 0 then redis.call('SREM', KEYS[3], unpack(ids)) end
return 1
`

// beginScript marks a user of whom Redis is to have nothing else, if the mark is
// still what was read ("": none).
//
//	ARGV  mark expected, mark after
const beginScript = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7])
redis.call('SET', KEYS[1], ARGV[2])
return 1
`

// viewScript is what an entry to be is made from: the mark, the time of the
// notification that has its key already, and how many would be unread with it.
//
//	ARGV  now, mark of the key, most kept
//
//nolint:dupword // Lua
const viewScript = keysScript + `
local at = redis.call('GET', KEYS[1])
if not at then return {'', '', 0} end
sweep(ARGV[1])
local unread = redis.call('SCARD', KEYS[3]) + 1
local over = redis.call('ZCARD', KEYS[2]) + 1 - tonumber(ARGV[3])
if over > 0 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, over - 1)) do
    unread = unread - redis.call('SISMEMBER', KEYS[3], id)
  end
end
return {at, redis.call('ZSCORE', KEYS[7], ARGV[2]) or '', unread}
`

// aimScript says what reading or clearing some would change: the mark, how many
// would be unread, their ids, and under which collapse keys something was pushed
// of which nothing would be unread.
//
//	ARGV  now, "read" or "clear", up to which position, beginning of about ("": none), ids …
//
//nolint:dupword // Lua
const aimScript = keysScript + `
local at = redis.call('GET', KEYS[1])
if not at then return {'', 0, {}, {}} end
sweep(ARGV[1])
local asked = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[3])
for i = 5, #ARGV do asked[#asked + 1] = ARGV[i] end
if ARGV[4] ~= '' then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local about = redis.call('HGET', KEYS[5], id) or ''
    if string.sub(about, 1, #ARGV[4]) == ARGV[4] then asked[#asked + 1] = id end
  end
end
local ids, taken, pushed = {}, {}, {}
local unread = redis.call('SCARD', KEYS[3])
local function collapse(id)
  return string.match(redis.call('HGET', KEYS[5], id) or '', '^%S* %S* (.*)$')
end
for _, id in ipairs(asked) do
  local new = redis.call('SISMEMBER', KEYS[3], id) == 1
  if not taken[id] and (new or (ARGV[2] == 'clear' and redis.call('ZSCORE', KEYS[2], id))) then
    taken[id] = true
    ids[#ids + 1] = id
    if new then
      unread = unread - 1
      local key = collapse(id)
      local at = key and tonumber(redis.call('ZSCORE', KEYS[8], key) or '0.5')
      if at and at % 1 == 0 then pushed[key] = true end
    end
  end
end
local withdraw = {}
if next(pushed) then
  for _, id in ipairs(redis.call('SMEMBERS', KEYS[3])) do
    local key = collapse(id)
    if key and not taken[id] then pushed[key] = nil end
  end
  for key in pairs(pushed) do withdraw[#withdraw + 1] = key end
end
return {at, unread, ids, withdraw}
`

// pageScript is the newest before a position: the mark, how many are unread,
// whether there are more, then id, position, whether it is unread and the body of each.
//
//	ARGV  now, before which position ("+inf": the newest), most, types …
//
//nolint:dupword // Lua
const pageScript = keysScript + `
local at = redis.call('GET', KEYS[1])
if not at then return {''} end
sweep(ARGV[1])
local types
for i = 4, #ARGV do types = types or {}; types[ARGV[i]] = true end
local out, n = {at, redis.call('SCARD', KEYS[3]), 0}, 0
local all = redis.call('ZREVRANGEBYSCORE', KEYS[2], ARGV[2], '-inf', 'WITHSCORES')
for i = 1, #all, 2 do
  local id = all[i]
  if not types or types[string.match(redis.call('HGET', KEYS[5], id) or '', '^%S*')] then
    if n == tonumber(ARGV[3]) then out[3] = 1; break end
    n = n + 1
    out[#out + 1] = id
    out[#out + 1] = all[i + 1]
    out[#out + 1] = redis.call('SISMEMBER', KEYS[3], id)
    out[#out + 1] = redis.call('HGET', KEYS[4], id) or ''
  end
end
return out
`
