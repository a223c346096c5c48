package projection

// The scripts. Each touches keys of one chat only (one hash tag), names all of
// them in KEYS, and may run again at any time.

// storedScript records one message: KEYS chat, index, cursors[, sent];
// ARGV seq, position, byte offset in the index, packed position, user,
// user/device, sent record, its lifetime in s. The head moves only onto the
// next seq, so that it never passes a hole. What a user sends, that user has
// read; the sending device has it too, if it has all before. The field head is
// "<seq> <position>". Returns the head's seq.
const storedScript = `
redis.call('SETRANGE', KEYS[2], ARGV[3], ARGV[4])
if KEYS[4] then redis.call('SET', KEYS[4], ARGV[7], 'EX', ARGV[8]) end
local seq = tonumber(ARGV[1])
local head = tonumber(string.match(redis.call('HGET', KEYS[1], 'head') or '0', '^%d+'))
if head == seq - 1 then
  redis.call('HSET', KEYS[1], 'head', ARGV[1] .. ' ' .. ARGV[2])
  head = seq
end
local at = redis.call('HMGET', KEYS[3], ARGV[5], ARGV[6])
local read, has = tonumber(at[1] or 0) < seq, tonumber(at[2] or 0) == seq - 1
if read and has then redis.call('HSET', KEYS[3], ARGV[5], ARGV[1], ARGV[6], ARGV[1])
elseif read then redis.call('HSET', KEYS[3], ARGV[5], ARGV[1])
elseif has then redis.call('HSET', KEYS[3], ARGV[6], ARGV[1]) end
return head`

// healedScript moves the head over a range that has just been written: KEYS
// chat; ARGV the seq before the range, its last seq, its last position. A head
// before the range means that the ground was lost meanwhile: it stays. Returns the head.
const healedScript = `
local head = tonumber(string.match(redis.call('HGET', KEYS[1], 'head') or '0', '^%d+'))
if head >= tonumber(ARGV[1]) and head < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'head', ARGV[2] .. ' ' .. ARGV[3])
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
