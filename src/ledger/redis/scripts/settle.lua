-- Ends a hold: time, subject, operation, replica, tokens, and what the store says was spent: reset, start, epoch, spent;
-- an empty epoch says nothing. A tombstone keeps an admission that is still on its way from holding anything. What was
-- kept of its record is stored, and goes.
local now, subject, field = clock(ARGV[1]), ARGV[2], ARGV[3] .. '|' .. ARGV[2]
if ARGV[8] ~= '' then note(subject, ARGV[6], ARGV[7], ARGV[8], ARGV[9], false) end
if ARGV[3] == '' then return { '1' } end
release(ARGV[4], field, subject, tonumber(ARGV[5]), now)
redis.call('HDEL', P .. 'j:' .. ARGV[4], field)
if ARGV[10] == '1' then redis.call('SET', P .. 'd:' .. field, '1', 'EX', 300) end
return { '1' }
