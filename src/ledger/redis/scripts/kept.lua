-- What is kept for a replica: replica. Answers field and record of each, at most 500.
local all, answer = redis.call('HGETALL', P .. 'j:' .. ARGV[1]), {}
for i = 1, math.min(#all, 1000) do answer[i] = all[i] end
return answer
