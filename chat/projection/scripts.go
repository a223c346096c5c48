package projection

// The scripts. Each touches keys of one chat only (one hash tag), names all of
// them in KEYS, and may run again at any time.

// storedScript records one message: KEYS cursors, index, sent, expiring, gone; ARGV the
// head before it, its seq, the head it makes, byte offset in the index, packed
// position, user, user/device, idempotency key (empty: none), sent record,
// lifetime of sent in s, when it expires in Unix milliseconds (empty: never). A head is "<seq> <position>". Nothing is written
// unless the head is the very message before: it never passes a hole nor goes
// back, and who finds it short of the log fills all of it in. What a user
// sends, that user has read; the sending device has it too, if it has all
// before. The field "." of sent tells, by being new, that its lifetime is not
// set yet. Returns how far the user had read before, -1 where the head did not move.
const storedScript = `
local cursors = KEYS[1]
local at = redis.call('HMGET', cursors, '.head', ARGV[6], ARGV[7])
if (at[1] or '0 0') ~= ARGV[1] then return -1 end
redis.call('SETRANGE', KEYS[2], ARGV[4], ARGV[5])
if ARGV[8] ~= '' and redis.call('HSET', KEYS[3], '.', '', ARGV[8], ARGV[9]) == 2 then
  redis.call('EXPIRE', KEYS[3], ARGV[10])
end
if ARGV[11] ~= '' and not redis.call('ZSCORE', KEYS[5], ARGV[2]) then
  redis.call('ZADD', KEYS[4], ARGV[11], ARGV[2])
end
local seq, read = tonumber(ARGV[2]), ARGV[2]
if at[2] and tonumber(at[2]) > seq then read = at[2] end
if tonumber(at[3] or 0) == seq - 1 then
  redis.call('HSET', cursors, '.head', ARGV[3], ARGV[6], read, ARGV[7], ARGV[2])
else
  redis.call('HSET', cursors, '.head', ARGV[3], ARGV[6], read)
end
return tonumber(at[2] or 0)`

// expiringScript notes when messages expire: KEYS expiring, gone; ARGV seq, Unix
// milliseconds, … One that is deleted already is left out.
//
//nolint:dupword // blocks of Lua end inside one another
const expiringScript = `
for i = 1, #ARGV, 2 do
  if not redis.call('ZSCORE', KEYS[2], ARGV[i]) then
    redis.call('ZADD', KEYS[1], ARGV[i+1], ARGV[i])
  end
end
return 0`

// healedScript moves the head over a range that has just been written: KEYS
// cursors; ARGV the seq before the range, its last seq, its last position. A head
// before the range means that the ground was lost meanwhile: it stays. Returns the head.
const healedScript = `
local head = tonumber(string.match(redis.call('HGET', KEYS[1], '.head') or '0', '^%d+'))
if head >= tonumber(ARGV[1]) and head < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], '.head', ARGV[2] .. ' ' .. ARGV[3])
  return tonumber(ARGV[2])
end
return head`

// CursorScript moves cursors forward: KEYS cursors; ARGV field, seq, …
//
//nolint:dupword // blocks of Lua end inside one another
const CursorScript = `
for i = 1, #ARGV, 2 do
  if tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or -1) < tonumber(ARGV[i+1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i+1])
  end
end
return 0`
