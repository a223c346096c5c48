package roster

// maxAway is how many absences of one member are remembered. What was owed before the
// oldest of more is not owed any more.
const maxAway = "16"

// metaScript applies one entry of a chat's meta log: KEYS chat, members, away; ARGV
// version, position, number of field values, fields and values, number of
// added values, users and roles, removed users. Versions are applied one after
// another; an old one changes nothing. A member whose role changes keeps the
// position of joining. Who is removed, and who comes back, has the absence noted in away
// (proto.AwayKey). The members say as of which position they are, for who reads no more
// than them. Returns the version now held.
const metaScript = `
local ver = tonumber(redis.call('HGET', KEYS[1], 'ver') or 0)
local v = tonumber(ARGV[1])
if v ~= ver + 1 then return ver end
local i, stop = 4, 3 + tonumber(ARGV[3])
while i < stop do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i+1]); i = i + 2 end
stop = i + 1 + tonumber(ARGV[i])
i = i + 1
while i < stop do
  local old = redis.call('HGET', KEYS[2], ARGV[i])
  local joined = old and string.match(old, ' (%d+)$') or ARGV[2]
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i+1] .. ' ' .. joined)
  local away = not old and redis.call('HGET', KEYS[3], ARGV[i])
  if away then
    away = away .. ARGV[2]
    local _, n = string.gsub(away, '-', '')
    if n > ` + maxAway + ` then away = string.gsub(away, '^%d+ %d+-(%d+)', '%1') end
    redis.call('HSET', KEYS[3], ARGV[i], away)
  end
  i = i + 2
end
while i <= #ARGV do
  local old = redis.call('HGET', KEYS[2], ARGV[i])
  if old then
    local away = redis.call('HGET', KEYS[3], ARGV[i]) or string.match(old, ' (%d+)$')
    redis.call('HSET', KEYS[3], ARGV[i], away .. ' ' .. ARGV[2] .. '-')
    redis.call('HDEL', KEYS[2], ARGV[i])
  end
  i = i + 1
end
redis.call('HSET', KEYS[1], 'ver', ARGV[1], 'mpos', ARGV[2])
redis.call('HSET', KEYS[2], '.meta', ARGV[2])
return v`

// receiptScript gives how far each member is: KEYS members, cursors; ARGV the
// most members it may have, nil beyond (one field of members is no user). Returns user, delivered on the furthest
// device, read, … Cursors of former members stay in Redis, and are passed over.
//
//nolint:dupword // blocks of Lua end inside one another
const receiptScript = `
if redis.call('HLEN', KEYS[1]) - 1 > tonumber(ARGV[1]) then return false end
local at, out = {}, {}
for _, user in ipairs(redis.call('HKEYS', KEYS[1])) do
  if user ~= '.meta' then
    out[#out+1] = user; out[#out+1] = 0; out[#out+1] = 0
    at[user] = #out - 1
  end
end
local all = redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  local slash = string.find(all[i], '/', 1, true)
  local k = at[slash and string.sub(all[i], 1, slash - 1) or all[i]]
  if k then
    if not slash then k = k + 1 end
    local seq = tonumber(all[i+1])
    if seq > out[k] then out[k] = seq end
  end
end
return out`

// markScript moves an existing mark forward: KEYS mark; ARGV position. Returns
// 0 when there is no mark.
const markScript = `
local at = redis.call('GET', KEYS[1])
if not at then return 0 end
if tonumber(at) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return 1`

// releaseScript deletes a lock one still holds: KEYS lock; ARGV its value.
const releaseScript = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

// setMarkScript sets the mark, if the lock is still held: KEYS mark, lock; ARGV position,
// holder. Returns 1 if it did.
const setMarkScript = `
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1`

// extendScript gives a lock that is still held more time: KEYS lock; ARGV its value,
// milliseconds. Returns 1 if it did.
const extendScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`
