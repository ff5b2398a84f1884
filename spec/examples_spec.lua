local helper = require "spec.helper"

--- Runs an example of the folder examples; fails unless it succeeds quietly.
local function example(words, input)
  words[1] = "examples/" .. words[1]
  local output, said, status = helper.run({ "run", table.unpack(words) }, { input = input })
  assert.equal("", said)
  assert.equal(0, status)
  return output
end

local function swapped(text)
  return (text:gsub("%a", function(c) return c == c:upper() and c:lower() or c:upper() end))
end

describe("examples/modify_text.lua", function()
  it("swaps the case of a sentence", function()
    assert.equal("hELLO wORLD\n", example { "modify_text.lua", "Hello World" })
  end)

  it("says hello to the world where no text is given", function()
    assert.equal("hELLO wORLD\n", example { "modify_text.lua" })
  end)

  it("makes an empty line of an empty text", function()
    assert.equal("\n", example { "modify_text.lua", "" })
  end)

  it("makes an empty line of blanks", function()
    assert.equal("\n", example { "modify_text.lua", " \t\n " })
  end)

  it("leaves what has no case as it is", function()
    assert.equal("1, 2 -- 3!\n", example { "modify_text.lua", "1, 2 -- 3!" })
  end)

  it("swaps the case of one word", function()
    assert.equal("a\n", example { "modify_text.lua", "A" })
  end)

  it("reads standard input where the text is -", function()
    assert.equal("oNE two tHREE\n", example({ "modify_text.lua", "-" }, "One\nTWO\tThree\n"))
  end)

  it("makes an empty line of an empty standard input", function()
    assert.equal("\n", example({ "modify_text.lua", "-" }, ""))
  end)

  it("takes 200,000 words from standard input", function()
    local words = {}
    for i = 1, 200000 do words[i] = "Word" .. i end
    local output = example({ "modify_text.lua", "-" }, table.concat(words, "\n"))
    assert.is_true(output == swapped(table.concat(words, " ")) .. "\n")
  end)

  it("takes one word of a million bytes", function()
    local word = ("Ab"):rep(500000)
    assert.is_true(example({ "modify_text.lua", "-" }, word) == ("aB"):rep(500000) .. "\n")
  end)

  it("keeps text that is not UTF-8", function()
    local text = "Gr\xfc\xdfe \xff\xfe\x80 \xc3 End"
    assert.equal("gR\xfc\xdfE \xff\xfe\x80 \xc3 eND\n", example({ "modify_text.lua", "-" }, text))
    assert.equal("gR\xfc\xdfE \xff\xfe\x80 \xc3 eND\n", example { "modify_text.lua", text })
  end)

  it("keeps UTF-8 and zero bytes", function()
    assert.equal("gRöße a\0B\n", example({ "modify_text.lua", "-" }, "GrößE A\0b"))
  end)

  it("records a call for each word, with its argument and result", function()
    local folder = helper.folder()
    finally(function() helper.remove(folder) end)
    local journal = folder .. "/journal.db"
    helper.run { "run", "--journal", journal, "examples/modify_text.lua", "Hello \xff World" }
    local text = helper.run { "show", "--journal", journal, "--json" }
    local calls = require("railtracks").json.decode(text).calls
    local seen = {}
    for _, call in ipairs(calls) do seen[#seen + 1] = call.id .. " " .. call.node end
    assert.same({
      "1 modify_text.lua", "1.1 modify_text", "1.1.1 split_text", "1.1.2 swap_case",
      "1.1.3 swap_case", "1.1.4 swap_case",
    }, seen)
    assert.same({ "Hello" }, calls[4].args)
    assert.same({ "hELLO" }, calls[4].results)
    assert.same({ { ["$bytes"] = "/w==" } }, calls[5].args)
  end)
end)

describe("examples/orders.lua", function()
  it("packs what it finds in time, and puts the rest back", function()
    assert.equal([[
put back: saffron
tea from the corner
bread from the market
jam from the market
saffron: timeout
]], example { "orders.lua" })
  end)

  it("takes the orders that are given", function()
    assert.equal("milk from the corner\n", example { "orders.lua", "milk" })
  end)
end)

describe("examples/pipeline.lua", function()
  local folder
  helper.each_in_folder(function(path) folder = path end)

  local function sh(command)
    local output, said, status = helper.shell(command)
    assert.equal(0, status, said)
    return output
  end

  --- A repository with a commit of each author, in this order.
  local function repository(authors)
    local lines = { "cd " .. folder, "git init -q .", "git config user.email x@example.com" }
    for i, author in ipairs(authors) do
      lines[#lines + 1] = ("git -c user.name='%s' commit -q --allow-empty -m 'number %d'"):format(
        author, i)
    end
    sh(table.concat(lines, " && "))
    return folder
  end

  it("counts commits and compresses their lines", function()
    local output = example { "pipeline.lua", repository { "Ann", "Ben", "Ann" },
      folder .. "/out.gz" }
    local size = #helper.read(folder .. "/out.gz")
    assert.equal(("     2  Ann\n     1  Ben\n3 commits, %d bytes compressed\n"):format(size),
      output)
    local lines = sh("zcat " .. folder .. "/out.gz")
    assert.matches("^%x+  Ann%s+number 3\n%x+  Ben%s+number 2\n%x+  Ann%s+number 1\n$", lines)
  end)

  it("fails where there is no repository, and says why", function()
    local output, said, status = helper.run { "run", "examples/pipeline.lua", folder }
    assert.equal("", output)
    assert.equal(1, status)
    assert.matches("not a git repository", said, 1, true)
    assert.matches("git log failed", said, 1, true)
  end)
end)

describe("examples/watch.lua", function()
  it("shows itself without arguments", function()
    assert.equal("made: rename\nsomething has changed\necho: exit 0\n", example { "watch.lua" })
  end)

  it("runs a program at each change, ends one that still runs, and stops at Ctrl-C", function()
    local folder <close> = helper.temporary()
    local running <close> = helper.start { "run", "examples/watch.lua", folder.path, "sh", "-c",
      "echo started; test -e " .. folder.path .. "/two && exit 3; sleep 3600 & wait" }
    helper.wait_for("the watch", function()
      helper.write(folder.path .. "/one", "x")
      return helper.read(running.output):find "started"
    end)
    helper.write(folder.path .. "/two", "x")
    running:wait_for_output "sh: exit 3"
    running:kill "INT"
    local _, said, status = running:wait()
    assert.equal("", said)
    assert.equal(130, status)
  end)
end)
