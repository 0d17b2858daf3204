-- Removes answers by name, and answers how many were there.
local removed = 0
for _, name in ipairs(ARGV) do removed = removed + drop(name) end
return removed
