require "railtracks"
local helper = require "spec.helper"
local new_buffer = require "railtracks.buffer"

describe("a buffer", function()
  it("gives what a string would, whatever pieces come and go", function()
    local chance = helper.generator(42)
    for _ = 1, 300 do
      local buffer, text = new_buffer(), ""
      for _ = 1, 100 do
        local what = chance(6)
        if what <= 2 then
          local piece = {}
          for i = 1, chance(20) - 1 do piece[i] = ({ "a", "b", "\r", "\n", "\r\n" })[chance(5)] end
          piece = table.concat(piece)
          buffer:add(piece)
          text = text .. piece
        elseif what == 3 then
          local count = chance(#text + 1) - 1
          assert.equal(text:sub(1, count), buffer:take(count))
          text = text:sub(count + 1)
        elseif what == 4 then
          local piece = buffer:take_piece()
          assert.equal(#text == 0, piece == nil)
          if piece then
            assert.equal(piece, text:sub(1, #piece))
            text = text:sub(#piece + 1)
          end
        else
          local longest = chance(30)
          local first = text:match "^[^\n]*"
          local whole = text:sub(#first + 1, #first + 1) == "\n"
          local take = what == 5 and buffer.take_line or buffer.take_text
          local line, too_long = take(buffer, longest)
          if #first > longest then
            assert.is_nil(line)
            assert.is_true(too_long)
          elseif whole then
            assert.equal(what == 5 and first:gsub("\r$", "") or first, line)
            text = text:sub(#first + 2)
          else
            assert.is_nil(line)
            assert.is_false(too_long)
          end
        end
        assert.equal(#text, buffer.size)
      end
      assert.equal(text, buffer:take(buffer.size))
    end
  end)

  it("takes a long line in many pieces without looking at any twice", function()
    local buffer = new_buffer()
    for _ = 1, 200000 do
      buffer:add "x"
      assert(not buffer:take_line(math.huge))
    end
    buffer:add "\n"
    assert.equal(200000, #buffer:take_line(math.huge))
  end)
end)
