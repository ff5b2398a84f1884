--- A streamed answer, word by word as it comes, like those of model APIs: server-sent events
--- that end with [DONE]. Without a URL it asks a small server of its own.
---
---   railtracks run examples/sse_chat.lua "How are you?" [URL]

local rt = require "railtracks"

local question, url = ...
question = question or "Why is the sky blue?"

--- Answers each question with its own words, one at a time.
local function own_server()
  return rt.net.listen("127.0.0.1", 0, function(connection)
    local size = 0
    for line in connection:lines() do
      size = tonumber(line:lower():match "^content%-length: (%d+)") or size
      if line == "" then break end
    end
    local asked = rt.json.decode(connection:read(size)).question
    connection:write "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    for word in ("You ask: " .. asked):gmatch "%S+%s*" do
      connection:write(("data: %s\n\n"):format(rt.json.encode { word = word }))
      rt.sleep(0.02)
    end
    connection:write "data: [DONE]\n\n"
  end)
end

local server = not url and own_server()
url = url or ("http://127.0.0.1:%d/chat"):format(server.port)

local chat = rt.function_node("chat", function(asked)
  local answer = {}
  for event in rt.http.events(url, { method = "POST", json = { question = asked } }) do
    if event.data == "[DONE]" then break end
    local word = rt.json.decode(event.data).word
    answer[#answer + 1] = word
    io.write(word)
    io.flush()
  end
  return table.concat(answer)
end)

local answer = rt.call(chat, question)
print()
if server then
  server.task:cancel()
  rt.settle { server.task }
end
return answer
