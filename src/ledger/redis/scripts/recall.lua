-- What this replica admitted in the last minute, in a ledger that is new: name of the ledger, subject, then kind and second
-- ('r' or 't' and a number), amount, and so on.
if redis.call('GET', P .. 'gen') ~= ARGV[1] then return { '0' } end
for i = 3, #ARGV, 2 do redis.call('HINCRBY', P .. 'm:' .. ARGV[2], ARGV[i], ARGV[i + 1]) end
touch(ARGV[2])
return { '1' }
