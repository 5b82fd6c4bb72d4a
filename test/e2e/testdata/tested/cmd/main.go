// Command cmd is a main package that has a test.
package main

func main() { println(answer()) }

func answer() int { return 42 }
