--- Reads the text format of Prometheus (version 0.0.4) and takes nothing that is not exactly as
--- it has to be: for specs of what answers at /metrics.

local helper = require "spec.helper"

local prometheus = {}

local function check(condition, line, what)
  if not condition then error(("%s: %s"):format(what, line), 0) end
  return condition
end

local escapes = { n = "\n", ["\\"] = "\\", ['"'] = '"' }

--- The labels of `text`, between its braces, in their order and by name, unescaped.
local function read_labels(text, line)
  local labels, at = {}, 1
  while at <= #text do
    local name, next_at = text:match('^([%a_][%w_]*)="()', at)
    check(name and not labels[name], line, "no label")
    local value = {}
    while true do
      local plain, stop, after = text:match('^([^\\"\n]*)([\\"])()', next_at)
      check(plain, line, "no end of a label")
      value[#value + 1] = plain
      next_at = after
      if stop == '"' then break end
      local escaped = text:sub(next_at, next_at)
      value[#value + 1] = check(escapes[escaped], line, "no escape")
      next_at = next_at + 1
    end
    labels[name] = table.concat(value)
    labels[#labels + 1] = name
    at = next_at
    if at <= #text then
      check(text:sub(at, at) == ",", line, "no comma")
      at = at + 1
    end
  end
  return labels
end

--- "name" or 'name{a="b"}': labels are sorted, values as they are.
local function key_of(name, labels, without)
  local parts = {}
  for _, label in ipairs(labels) do
    if label ~= without then parts[#parts + 1] = ('%s="%s"'):format(label, labels[label]) end
  end
  table.sort(parts)
  return parts[1] and ("%s{%s}"):format(name, table.concat(parts, ",")) or name
end

local function in_family(name, family)
  if family.type ~= "histogram" then return name == family.name end
  local suffix = name:sub(1, #family.name) == family.name and name:sub(#family.name + 1)
  return suffix == "_bucket" or suffix == "_sum" or suffix == "_count"
end

--- One histogram: its buckets rise to +Inf, which is its count.
local function check_histogram(h, key)
  for i = 2, #h.bounds do
    check(h.bounds[i] > h.bounds[i - 1] and h.counts[i] >= h.counts[i - 1], key, "does not rise")
  end
  check(h.bounds[#h.bounds] == math.huge, key, "has no bucket for all")
  check(h.count == h.counts[#h.counts] and h.sum, key, "has another count")
end

local function read_sample(found, family, histograms, line)
  local name, rest = line:match "^([%a_:][%w_:]*)(.*)$"
  check(name and family and in_family(name, family), line, "not in its family")
  local inside, value = rest:match "^{(.*)} (%S+)$"
  value = tonumber(value or check(rest:match "^ (%S+)$", line, "no value"))
  check(value and value == value, line, "no number")
  local labels = read_labels(inside or "", line)
  local key = key_of(name, labels)
  check(not found[key], line, "twice")
  check(family.type ~= "counter" or (name:match "_total$" and value >= 0), line, "no counter")
  found[key] = value
  if family.type ~= "histogram" then return end
  local of = key_of(family.name, labels, "le")
  local h = histograms[of] or { bounds = {}, counts = {} }
  histograms[of] = h
  if name:match "_bucket$" then
    check(labels.le, line, "no bound")
    h.bounds[#h.bounds + 1] = labels.le == "+Inf" and math.huge or tonumber(labels.le)
    h.counts[#h.counts + 1] = value
  else
    h[name:match "_(%l+)$"] = value
  end
end

--- The values by 'name{label="value"}', labels sorted, their values unescaped. Raises what is
--- wrong with the text.
function prometheus.parse(text)
  check(text:match "\n$" and utf8.len(text), text, "no text of lines")
  local found, families, histograms, family = {}, {}, {}, nil
  for line in text:gmatch "([^\n]*)\n" do
    local helped = line:match "^# HELP ([%a_:][%w_:]*) [^\n]+$"
    local typed, kind = line:match "^# TYPE ([%a_:][%w_:]*) (%l+)$"
    if helped then
      check(not families[helped], line, "twice")
      family = { name = helped }
      families[helped] = family
    elseif typed then
      check(family and family.name == typed and not family.type, line, "not behind its help")
      check(kind == "counter" or kind == "gauge" or kind == "histogram", line, "no type")
      family.type = kind
    else
      check(family and family.type, line, "not behind its type")
      read_sample(found, family, histograms, line)
    end
  end
  for key, h in pairs(histograms) do check_histogram(h, key) end
  return found
end

local reader = [[
import sys
from prometheus_client.parser import text_string_to_metric_families as read
for family in read(sys.stdin.read()):
    for s in family.samples:
        labels = ",".join(sorted('%s="%s"' % label for label in s.labels.items()))
        key = s.name + ("{" + labels + "}" if labels else "")
        print(repr(key.encode().hex()), repr(float(s.value)), sep="\t")
]]

--- The same as Prometheus' own client library for Python reads it.
function prometheus.parse_in_python(text)
  local found = {}
  local folder <close> = helper.temporary()
  helper.write(folder.path .. "/metrics", text)
  local output, said, status = helper.shell(("python3 -c %s <%s/metrics"):format(
    helper.quote(reader), folder.path))
  if status ~= 0 then error(said, 2) end
  for key, value in output:gmatch "'(%x+)'\t(%S+)\n" do
    found[key:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)] =
      tonumber(value)
  end
  return found
end

--- Whether it is installed.
prometheus.has_python = select(3, helper.shell "python3 -c 'import prometheus_client'") == 0

return prometheus
