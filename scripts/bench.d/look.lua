-- Looks at the newest run as the page of the viewer does: look.lua ADDRESS
local rt = require "railtracks"
local address = ...
local epoch, since, names = 0, 0, 0
local news, busy = false, false

local function look()
  local from = rt.now()
  rt.http.get(address .. "api/runs/@1")
  local answer = rt.http.get(("%sapi/runs/@1/calls?epoch=%d&since=%d&names=%d"):format(
    address, epoch, since, names))
  if answer.status == 200 then
    local _, size
    epoch, since, _, _, names, size = ("<I4I4I4I4I4I4"):unpack(answer.body, 5)
    names = names + #rt.json.decode(answer.body:sub(41, 40 + size))
  end
  rt.sleep(math.min(3, math.max(0.08, 6 * (rt.now() - from))))
end

local function look_on()
  busy = true
  repeat
    news = false
    look()
  until not news
  busy = false
end

for event in rt.http.events(address .. "api/stream") do
  news = news or event.event == "change"
  if news and not busy then rt.spawn(look_on) end
end
