-- Swaps the case of every word of a text: all words at once, each in a call of its own.
--
--   railtracks run examples/modify_text.lua "Hello World"
--   railtracks run examples/modify_text.lua - < some.txt

local rt = require "railtracks"

local split_text = rt.function_node("split_text", function(text)
  local words = {}
  for word in text:gmatch("%S+") do words[#words + 1] = word end
  return words
end)

local swap_case = rt.function_node("swap_case", function(word)
  return (word:gsub("%a", function(c) return c == c:upper() and c:lower() or c:upper() end))
end)

local modify_text = rt.function_node("modify_text", function(text)
  local words = rt.call(split_text, text)
  local calls = {}
  for i, word in ipairs(words) do calls[i] = rt.spawn(swap_case, word) end
  return table.concat(rt.gather(calls), " ")
end)

local text = ... or "Hello World"
if text == "-" then text = io.read("a") end
print(rt.call(modify_text, text))
