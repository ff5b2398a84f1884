// The works of the bench in Go: main WORK COUNT [TIMES] prints "us N", the time
// of one, and "ms N", that of all.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

//go:noinline
func leaf(n int) int { return n }

// One goroutine after the other. The channel is made once: a channel for each call
// would be a little slower, and a bound should be set by the faster peer.
func call(count int) {
	answer := make(chan int)
	for i := 0; i < count; i++ {
		go func(i int) { answer <- leaf(i) }(i)
		<-answer
	}
}

func fan(count int) {
	var all sync.WaitGroup
	results := make([]int, count)
	all.Add(count)
	for i := 0; i < count; i++ {
		go func(i int) {
			results[i] = leaf(i)
			all.Done()
		}(i)
	}
	all.Wait()
}

func sleep(count int) {
	var all sync.WaitGroup
	all.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			time.Sleep(10 * time.Millisecond)
			all.Done()
		}()
	}
	all.Wait()
}

func deep(count int) int {
	if count == 0 {
		return 0
	}
	answer := make(chan int)
	go func() { answer <- deep(count - 1) }()
	return 1 + <-answer
}

func main() {
	works := map[string]func(int){
		"call": call, "fan": fan, "sleep": sleep, "deep": func(n int) { deep(n) },
	}
	work, times := works[os.Args[1]], 1
	count, _ := strconv.Atoi(os.Args[2])
	if len(os.Args) > 3 {
		times, _ = strconv.Atoi(os.Args[3])
	}
	began := time.Now()
	for i := 0; i < times; i++ {
		work(count)
	}
	ms := time.Since(began).Seconds() * 1e3
	fmt.Println("us", ms*1e3/float64(count*times))
	fmt.Println("ms", ms)
}
