-- Starts an epoch of a key: subject, epoch. What is not known has nothing to forget.
local k = P .. 'k:' .. ARGV[1]
local epoch = redis.call('HGET', k, 'epoch')
if epoch and tonumber(ARGV[2]) > tonumber(epoch) then redis.call('HSET', k, 'epoch', ARGV[2], 'spent', '0') end
return { '1' }
