// Package sum is tested by tests of all kinds.
package sum

// Sum adds numbers up.
func Sum(list ...int) (total int) {
	for _, n := range list {
		total += n
	}
	return total
}

// Never is not covered.
func Never() int { return 0 }
