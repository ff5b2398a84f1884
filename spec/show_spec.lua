local helper = require "spec.helper"

describe("the program", function()
  local place, journal

  before_each(function()
    place = helper.workplace()
    journal = place.journal
  end)
  after_each(function() place:remove() end)

  local function write(name, text) return place:write(name, text) end

  --- Runs the program in the folder, with its journal there.
  local function program(words, options) return place:run(words, options) end

  local function one_line(text)
    assert.matches("^railtracks: [^\n]+\n$", text)
  end

  describe("listing runs", function()
    it("has the newest first", function()
      for _, name in ipairs { "first", "second", "third" } do
        write(name .. ".lua", "")
        program { "run", name .. ".lua" }
      end
      local output, said, status = program { "runs" }
      assert.same({ "", 0 }, { said, status })
      assert.matches("third.*second.*first", output)
    end)

    it("tells status and count of calls", function()
      program { "-e", "require('railtracks').map(function() end, { 1, 2 })" }
      program { "-e", "error 'x'" }
      local output = program { "runs" }
      assert.matches("failed[^\n]*%s1%s[^\n]*\n[^\n]*done[^\n]*%s3%s", output)
    end)

    it("is a JSON list with --json", function()
      program { "-e", "" }
      program { "-e", "error 'x'" }
      local list = require("cjson").decode((program { "runs", "--json" }))
      assert.equal(2, #list)
      local keys = {}
      for key in pairs(list[1]) do keys[#keys + 1] = key end
      table.sort(keys)
      assert.same({ "calls", "ended_at", "error", "id", "name", "started_at", "status" }, keys)
      assert.equal("failed", list[1].status)
      assert.equal("done", list[2].status)
    end)

    it("stops at --limit", function()
      for _ = 1, 3 do program { "-e", "" } end
      assert.equal(2, #require("cjson").decode((program { "runs", "--json", "--limit", "2" })))
      local _, lines = (program { "runs", "--limit", "2" }):gsub("%(command line%)", "")
      assert.equal(2, lines)
    end)

    it("says that a journal without runs has none", function()
      program { "-e", "" }
      helper.sql(journal, "DELETE FROM runs")
      local output, _, status = program { "runs" }
      assert.matches("no runs", output)
      assert.equal(0, status)
      assert.same({}, require("cjson").decode((program { "runs", "--json" })))
    end)

    it("fails in one line where there is no journal", function()
      local output, said, status = program { "runs" }
      assert.equal("", output)
      one_line(said)
      assert.matches(journal, said, 1, true)
      assert.equal(1, status)
    end)
  end)

  describe("showing a run", function()
    it("is a tree with arguments, results and errors", function()
      write("script.lua", [[
        local rt = require "railtracks"
        local leaf = rt.function_node("leaf", function(word)
          if word == "bad" then error "it broke" end
          return word:upper()
        end)
        local branch = rt.function_node("branch", function(...)
          rt.settle(rt.spawn(leaf, ...), rt.spawn(leaf, "bad"))
        end)
        rt.call(branch, "word")
      ]])
      program { "run", "script.lua" }
      local output, said, status = program { "show" }
      assert.same({ "", 0 }, { said, status })
      assert.matches('\n[^\n]-script.lua%(%)[^\n]*\n[^\n]-  %S+ branch%("word"%)[^\n]*\n'
        .. '[^\n]-    %S+ leaf%("word"%) → "WORD"\n[^\n]-    %S+ leaf%("bad"%)[^\n]*\n'
        .. '[^\n]*it broke\n', output)
    end)

    it("shows the newest by default, and @N counts from there", function()
      for _, name in ipairs { "first", "second", "third" } do
        write(name .. ".lua", "")
        program { "run", name .. ".lua" }
      end
      assert.matches("^third.lua", (program { "show" }))
      assert.matches("^third.lua", (program { "show", "@1" }))
      assert.matches("^second.lua", (program { "show", "@2" }))
      assert.matches("^first.lua", (program { "show", "@3" }))
    end)

    it("finds a run by a unique beginning or end of its id", function()
      write("first.lua", "")
      program { "run", "first.lua" }
      write("second.lua", "")
      program { "run", "second.lua" }
      local id = helper.recorded(journal, "@2").run.id
      assert.matches("^first.lua", (program { "show", id }))
      assert.matches("^first.lua", (program { "show", id:sub(1, -2) }))
      assert.matches("^first.lua", (program { "show", id:sub(-8) }))
    end)

    it("refuses a beginning that means several runs", function()
      program { "-e", "" }
      program { "-e", "" }
      local output, said, status = program { "show", "0" }
      assert.equal("", output)
      one_line(said)
      assert.equal(1, status)
    end)

    for _, name in ipairs { "@2", "@0", "@", "@x", "zzz", "" } do
      it(("says that there is no run '%s'"):format(name), function()
        program { "-e", "" }
        local output, said, status = program { "show", name }
        assert.equal("", output)
        one_line(said)
        assert.equal(1, status)
      end)
    end

    it("is one JSON object with --json, before or behind the run", function()
      program { "-e", "" }
      local before = program { "show", "--json", "@1" }
      assert.equal(before, (program { "show", "@1", "--json" }))
      local keys = {}
      for key in pairs(require("cjson").decode(before)) do keys[#keys + 1] = key end
      table.sort(keys)
      assert.same({ "calls", "run" }, keys)
    end)

    it("has every field of every call in the JSON", function()
      program { "-e", "require('railtracks').call(function() end)" }
      for _, call in ipairs(helper.recorded(journal, "@1").calls) do
        local keys = {}
        for key in pairs(call) do keys[#keys + 1] = key end
        table.sort(keys)
        assert.same({ "args", "ended_at", "error", "id", "kind", "node", "parent", "results",
          "site", "spawned_at", "started_at", "status" }, keys)
      end
    end)

    it("tells the failure of the run with its traceback", function()
      program { "-e", "error 'it broke'" }
      local output = program { "show" }
      assert.matches("failed", output)
      assert.matches("error:.*it broke\nstack traceback:", output)
    end)

    it("shortens long arguments and results", function()
      program { "-e",
        "require('railtracks').call(function(...) return ... end, ('x'):rep(5000))" }
      for line in (program { "show" }):gmatch "[^\n]+" do
        assert.is_true(utf8.len(line) <= 100, line)
      end
    end)

    it("has no escape codes where its output is no terminal", function()
      program { "-e", "pcall(require('railtracks').call, error, 'x')" }
      assert.not_matches("\27", (program { "show" }))
      assert.not_matches("\27", (program { "runs" }))
    end)

    local function on_terminal(words, env)
      local line = { env, helper.quote(helper.program) }
      for _, word in ipairs(words) do line[#line + 1] = helper.quote(word) end
      return (helper.shell(("script -qec %s /dev/null </dev/null"):format(
        helper.quote("env " .. table.concat(line, " ")))))
    end

    it("has colours on a terminal, but not with NO_COLOR", function()
      program { "-e", "" }
      local words = { "show", "--journal", journal }
      assert.matches("\27%[", on_terminal(words, "-u NO_COLOR TERM=xterm"))
      assert.not_matches("\27", on_terminal(words, "NO_COLOR=1 TERM=xterm"))
      assert.not_matches("\27", on_terminal(words, "-u NO_COLOR TERM=dumb"))
    end)

    it("lets no control character of names, values and errors through", function()
      program { "-e", [[
        local rt = require "railtracks"
        local evil = "\27[31m\7\r\8\127\u{9b}\u{202e}"
        local node = rt.function_node("evil" .. evil, function(...) return ... end)
        rt.call(node, evil, { [evil] = evil })
        rt.call(function() error(evil) end)
      ]] }
      local output = (program { "show" }):gsub("\n", "")
      assert.not_matches("[%c\127]", output)
      assert.not_matches("\u{9b}", output, 1, true)
      assert.not_matches("\u{202e}", output, 1, true)
    end)

    it("ends quietly when nobody reads on", function()
      program { "-e", "local rt = require 'railtracks'; local l = {}; "
        .. "for i = 1, 50000 do l[i] = i end; rt.map(function() end, l)" }
      for _, words in ipairs { "show --all", "show --json", "runs" } do
        local output, said = helper.shell(("%s %s --journal %s | head -1"):format(
          helper.quote(helper.program), words, journal))
        assert.matches("^[^\n]+\n$", output)
        assert.equal("", said)
      end
    end)

    it("shows 200 calls by default, and says how many more there are", function()
      program { "-e", "local rt = require 'railtracks'; local l = {}; "
        .. "for i = 1, 1000 do l[i] = i end; rt.map(function() end, l)" }
      local output = program { "show" }
      local _, lines = output:gsub("\n", "")
      assert.is_true(lines < 210)
      assert.matches("801 more calls %(%-%-all shows them%)", output)
      _, lines = (program { "show", "--all" }):gsub("\n", "")
      assert.is_true(lines > 1000)
      assert.matches("991 more calls", (program { "show", "--limit", "10" }))
    end)

    it("shows some of the calls, with their ids", function()
      place:run { "run", "-e", [[
        local rt = require "railtracks"
        local nap = rt.function_node("nap", function(s)
          rt.sleep(s)
          if s == 0 then error "no" end
        end)
        for _, s in ipairs { 0.001, 0, 0.03, 0.01 } do pcall(rt.call, nap, s) end
      ]] }
      local function ids(...)
        local found = {}
        for id in place:run({ "show", ... }):gmatch "\n +[%d.]+ %S+ +%S+ (1[%d.]*) %S" do
          found[#found + 1] = id
        end
        return table.concat(found, " ")
      end
      assert.equal("1.2", ids "--failed")
      assert.equal("1.1 1.2 1.3 1.4", ids("--node", "nap"))
      assert.equal("1.3 1.4", ids("--node", "nap", "--slowest", "2"))
      assert.equal("", ids("--node", "other"))
      local flat = place:run { "show", "--depth", "1" }
      assert.matches("nap%(0.03%)", flat)
      assert.is_nil(flat:find "sleep")
      local json = place:run { "show", "--failed", "--json" }
      assert.equal(1, select(2, json:gsub('"node":', "")))
      assert.equal(2, (select(3, place:run { "show", "--slowest", "0" })))
    end)

    describe("of which some are asked for", function()
      local function record()
        program { "-e", [[
          local rt = require "railtracks"
          local leaf = rt.function_node("leaf", function(n) if n % 2 == 0 then error "even" end end)
          local branch = rt.function_node("branch", function(n) pcall(rt.call, leaf, n) end)
          for n = 1, 300 do rt.call(branch, n) end
        ]] }
      end

      local function nodes(...)
        local found = {}
        local list = require("cjson").decode((program { "show", "--json", ... })).calls
        for _, call in ipairs(list) do found[call.node] = (found[call.node] or 0) + 1 end
        return found
      end

      it("takes all that is said together, as JSON, too", function()
        record()
        assert.same({ ["(command line)"] = 1, branch = 300 }, nodes("--depth", "1"))
        assert.same({ leaf = 150 }, nodes "--failed")
        assert.same({}, nodes("--failed", "--depth", "1"))
        assert.same({ branch = 300 }, nodes("--node", "branch"))
        assert.same({}, nodes("--node", "branch", "--failed"))
        assert.same({ branch = 7 }, nodes("--node", "branch", "--slowest", "7"))
      end)

      it("shows as many of the slowest as it is told to", function()
        record()
        helper.sql(journal, "UPDATE calls SET ended_at = started_at + seq")
        local output = program { "show", "--slowest", "250" }
        assert.equal(250, select(2, output:gsub("\n *%d+m %d+s  %S+ 1%.", "")))
        assert.is_nil(output:find("more call", 1, true))
        local lengths = {}
        for minutes, seconds in output:gmatch "(%d+)m (%d+)s  %S+ 1%." do
          lengths[#lengths + 1] = minutes * 60 + seconds
        end
        for i = 1, 250 do assert.equal(602 - i, lengths[i]) end
        assert.matches("240 more calls", (program { "show", "--slowest", "250", "--limit", "10" }))
      end)

      it("says how many more there are, and that there is none", function()
        record()
        assert.matches("100 more calls", (program { "show", "--node", "leaf" }))
        assert.matches("\n\nno such call\n$", (program { "show", "--node", "twig" }))
      end)
    end)

    it("cuts a run of a million calls and says so", function()
      local _, said, status = program { "-e", [[
        local rt = require "railtracks"
        local items = {}
        for i = 1, 1000000 do items[i] = i end
        rt.map(function() end, items)
      ]] }
      assert.same({ "", 0 }, { said, status })
      local output = program { "show" }
      assert.matches("1,000,001 calls", output)
      assert.matches("999,801 more calls", output)
      assert.is_true(#output < 40000)
    end)
  end)
end)
