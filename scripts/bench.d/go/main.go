// The works of the bench in Go: main WORK COUNT [TIMES] prints "us N", the time
// of one, and "ms N", that of all.
package main

import (
	"fmt"
	"os"
	"runtime"
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

func handOver(count, capacity int) {
	values := make(chan int, capacity)
	go func() {
		for i := 0; i < count; i++ {
			values <- i
		}
		close(values)
	}()
	for range values {
	}
}

// A channel with room for one is Go's usual semaphore.
func semaphore(count int) {
	permits := make(chan struct{}, 1)
	for i := 0; i < count; i++ {
		permits <- struct{}{}
		<-permits
	}
}

func contended(count int) {
	var all sync.WaitGroup
	permits := make(chan struct{}, 1)
	all.Add(4)
	for i := 0; i < 4; i++ {
		go func() {
			for i := 0; i < count/4; i++ {
				permits <- struct{}{}
				runtime.Gosched()
				<-permits
			}
			all.Done()
		}()
	}
	all.Wait()
}

func main() {
	works := map[string]func(int){
		"call": call, "fan": fan, "sleep": sleep, "deep": func(n int) { deep(n) },
		"channel":   func(n int) { handOver(n, 0) },
		"buffered":  func(n int) { handOver(n, 64) },
		"semaphore": semaphore, "contended": contended,
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
