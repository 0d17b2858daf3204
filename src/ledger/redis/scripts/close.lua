-- What was used is known and not stored yet: time, subject, operation, replica, tokens, cost, record. Frees place and tokens;
-- the cost stays held until the store has it, and so does the record: with its version before it, or empty. Without a
-- subject nothing was held.
local now, subject, replica, field = clock(ARGV[1]), ARGV[2], ARGV[4], ARGV[3] .. '|' .. ARGV[2]
if ARGV[7] ~= '' then redis.call('HSET', P .. 'j:' .. replica, field, ARGV[7]) end
local hold = read_hold(replica, field)
if not hold or hold.done then return { '0' } end
free(subject, hold, tonumber(ARGV[5]), now)
hold_money(subject, hold, '-' .. hold.budget)
if hold.epoch == '' then
    redis.call('HDEL', P .. 'r:' .. replica, field)
    return { '1' }
end
hold.budget, hold.least, hold.done = ARGV[6], ARGV[6], true
hold_money(subject, hold, ARGV[6])
redis.call('HSET', P .. 'r:' .. replica, field, cjson.encode(hold))
return { '1' }
