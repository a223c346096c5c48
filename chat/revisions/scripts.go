package revisions

// editsScript applies entries of a chat's edit log: KEYS edits; ARGV the
// position they follow, the position of the last of them, then seq and position
// of each. Entries that would leave a hole change nothing. Returns the position
// up to which the edits are here.
//
//nolint:dupword // blocks of Lua end inside one another
const editsScript = `
local at = tonumber(redis.call('HGET', KEYS[1], 'at') or 0)
if at < tonumber(ARGV[1]) then return at end
for i = 3, #ARGV, 2 do
  if tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or 0) < tonumber(ARGV[i+1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i+1])
  end
end
if at < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'at', ARGV[2])
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
