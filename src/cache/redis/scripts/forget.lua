-- Begins the next generation.
return redis.call('INCR', P .. 'g')
