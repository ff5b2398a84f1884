"""The works of the bench in asyncio: python.py WORK COUNT [TIMES] prints "us N", the
time of one, and "ms N", that of all. (Not named asyncio.py: Python would import it in
place of its own.)"""
import asyncio
import sys
import time


async def leaf(n):
    return n


async def call(count):
    for i in range(count):
        await asyncio.create_task(leaf(i))


async def await_only(count):
    for i in range(count):
        await leaf(i)


async def fan(count):
    await asyncio.gather(*[asyncio.create_task(leaf(i)) for i in range(count)])


async def sleep(count):
    async def nap():
        await asyncio.sleep(0.01)
    await asyncio.gather(*[asyncio.create_task(nap()) for _ in range(count)])


async def deep(count):
    return 1 + await asyncio.create_task(deep(count - 1)) if count else 0


async def main(work, count, times=1):
    works = {"call": call, "await": await_only, "fan": fan, "sleep": sleep, "deep": deep}
    began = time.perf_counter()
    for _ in range(times):
        await works[work](count)
    ms = (time.perf_counter() - began) * 1e3
    print("us", ms * 1e3 / (count * times))
    print("ms", ms)

asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
