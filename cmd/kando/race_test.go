//go:build race

package main

// memoryFactor: the race detector keeps a shadow of the memory.
const memoryFactor = 3
