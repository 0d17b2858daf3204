-- What the store says was spent: subject, reset, start, epoch, spent.
note(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], true)
return { '1' }
