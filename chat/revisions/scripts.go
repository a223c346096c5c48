package revisions

// editsScript applies entries of a chat's edit log: KEYS edits, gone, expiring; ARGV the
// position they follow, the position of the last of them, then of each its seq, its
// position and 1 for a deletion. Entries that would leave a hole change nothing. Returns
// the position up to which the edits are here.
//
//nolint:dupword // blocks of Lua end inside one another
const editsScript = `
local at = tonumber(redis.call('HGET', KEYS[1], 'upto') or 0)
if at < tonumber(ARGV[1]) then return at end
for i = 3, #ARGV, 3 do
  if tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or 0) < tonumber(ARGV[i+1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i+1])
  end
  if ARGV[i+2] == '1' then
    redis.call('ZADD', KEYS[2], ARGV[i], ARGV[i])
    redis.call('ZREM', KEYS[3], ARGV[i])
  end
end
if at < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'upto', ARGV[2])
  return tonumber(ARGV[2])
end
return at`

// foundScript adds what a page of a user's log says is hidden, and moves the
// mark over the page: KEYS mark, then the chat's key of each; ARGV the mark as
// it was, as it is to be, then seq and time of each. A mark that is another
// means that somebody else was here, or Redis was lost: nothing changes.
const foundScript = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
for i = 2, #KEYS do redis.call('HSET', KEYS[i], ARGV[2*i-1], ARGV[2*i]) end
redis.call('SET', KEYS[1], ARGV[2])
return 1`

// unseenScript counts messages that are gone: KEYS edits, gone, expiring; ARGV now in Unix
// milliseconds, then of each ask how many ranges, after and to of each, how many hidden,
// and the seq of each. One that is gone in several ways counts once. Returns the position
// up to which the edits are here, then the count of each ask.
//
//nolint:dupword // blocks of Lua end inside one another
const unseenScript = `
local late = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1])
local out, i = {tonumber(redis.call('HGET', KEYS[1], 'upto') or 0)}, 2
while i <= #ARGV do
  local n, ranges, counted = 0, {}, {}
  local function add(seq)
    if not counted[seq] and not redis.call('ZSCORE', KEYS[2], seq) then n = n + 1 end
    counted[seq] = true
  end
  local stop = i + 2 * tonumber(ARGV[i])
  i = i + 1
  while i <= stop do
    n = n + redis.call('ZCOUNT', KEYS[2], '(' .. ARGV[i], ARGV[i+1])
    ranges[#ranges+1] = {tonumber(ARGV[i]), tonumber(ARGV[i+1])}
    i = i + 2
  end
  for _, seq in ipairs(late) do
    for _, r in ipairs(ranges) do
      if tonumber(seq) > r[1] and tonumber(seq) <= r[2] then add(seq) end
    end
  end
  stop = i + tonumber(ARGV[i])
  i = i + 1
  while i <= stop do
    add(ARGV[i])
    i = i + 1
  end
  out[#out+1] = n
end
return out`
