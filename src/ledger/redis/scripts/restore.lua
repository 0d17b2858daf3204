-- Holds again what a replica held in a ledger that was lost: name of the ledger, subject, operation, replica, the hold.
if redis.call('GET', P .. 'gen') ~= ARGV[1] then return { '0' } end
local subject, field = ARGV[2], ARGV[3] .. '|' .. ARGV[2]
if redis.call('HSETNX', P .. 'r:' .. ARGV[4], field, ARGV[5]) == 0 then return { '1' } end
local hold = cjson.decode(ARGV[5])
if not hold.done then
    redis.call('HINCRBY', P .. 'm:' .. subject, 'p', 1)
    touch(subject)
end
hold_money(subject, hold, hold.budget)
return { '1' }
