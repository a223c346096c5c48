package history

// takeLua is what the scripts that write share. put takes a record unless there
// is a newer one of its call: one further on, or as far and of a later position.
// trim leaves the newest so many.
//
//nolint:dupword // blocks of Lua end inside one another
const takeLua = `
local function put(call, began, rank, position, record)
  local have = redis.call('HGET', KEYS[2], call)
  if have then
    local r, p = string.match(have, '^(%d+) (%d+) ')
    r, p = tonumber(r or -1), tonumber(p or 0)
    if r > tonumber(rank) or (r == tonumber(rank) and p > tonumber(position)) then return end
  end
  redis.call('ZADD', KEYS[1], began, call)
  redis.call('HSET', KEYS[2], call, record)
end
local function trim(keep)
  local over = redis.call('ZCARD', KEYS[1]) - tonumber(keep)
  if over <= 0 then return end
  for _, call in ipairs(redis.call('ZRANGE', KEYS[1], 0, over - 1)) do
    redis.call('ZREM', KEYS[1], call)
    redis.call('HDEL', KEYS[2], call)
  end
end
`

// noteScript takes one record: KEYS calls, records; ARGV how many to keep, call,
// began, rank, position, record.
const noteScript = takeLua + `
put(ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6])
trim(ARGV[1])
return 1`

// foundScript takes what a part of the log says and moves the mark over it: KEYS
// calls, records; ARGV the mark as it was, as it is to be, how many to keep,
// whether to forget all that is there, then call, began, rank, position and
// record of each. A mark that is another means that somebody else was here, or
// Redis was lost: nothing changes.
const foundScript = takeLua + `
if (redis.call('HGET', KEYS[2], '.mark') or '') ~= ARGV[1] then return 0 end
if ARGV[4] == '1' then redis.call('DEL', KEYS[1], KEYS[2]) end
redis.call('HSET', KEYS[2], '.mark', ARGV[2])
for i = 5, #ARGV, 5 do put(ARGV[i], ARGV[i+1], ARGV[i+2], ARGV[i+3], ARGV[i+4]) end
trim(ARGV[3])
return 1`

// pageScript reads, at one moment, the mark and the newest calls that began no
// later than given: KEYS calls, records; ARGV the latest moment, how many. Those of
// that very moment come besides. Gives the mark, whether the two keys fit each
// other (one alone may have been lost), then call, began and record of each.
const pageScript = `
local mark = redis.call('HGET', KEYS[2], '.mark') or ''
local fields = redis.call('HLEN', KEYS[2])
if mark ~= '' then fields = fields - 1 end
local fits = redis.call('ZCARD', KEYS[1]) == fields and 1 or 0
local n = tonumber(ARGV[2])
if ARGV[1] ~= '+inf' then n = n + redis.call('ZCOUNT', KEYS[1], ARGV[1], ARGV[1]) end
local out = {mark, fits}
local found = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], '-inf', 'WITHSCORES', 'LIMIT', 0, n)
for i = 1, #found, 2 do
  out[#out+1] = found[i]
  out[#out+1] = found[i+1]
  out[#out+1] = redis.call('HGET', KEYS[2], found[i]) or ''
end
return out`
