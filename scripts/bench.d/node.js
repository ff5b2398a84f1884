// The works of the bench in Node: node.js WORK COUNT [TIMES] prints "us N", the time of
// one, and "ms N", that of all.
const leaf = async (n) => n
const nap = () => new Promise((wake) => setTimeout(wake, 10))

const works = {
  async call(count) {
    for (let i = 0; i < count; i++) await leaf(i)
  },

  async fan(count) {
    const all = []
    for (let i = 0; i < count; i++) all.push(leaf(i))
    await Promise.all(all)
  },

  async sleep(count) {
    const all = []
    for (let i = 0; i < count; i++) all.push(nap())
    await Promise.all(all)
  },

  // Gives way before it goes deeper: 100,000 levels do not fit on its stack.
  async deep(count) {
    if (count === 0) return 0
    await null
    return 1 + await works.deep(count - 1)
  },
}

async function main(work, count, times = 1) {
  const began = performance.now()
  for (let i = 0; i < times; i++) await works[work](Number(count))
  const ms = performance.now() - began
  console.log('us', ms * 1e3 / (count * times))
  console.log('ms', ms)
}

main(...process.argv.slice(2))
