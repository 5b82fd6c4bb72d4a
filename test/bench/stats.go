package main

import (
	"math"
	"slices"
)

// quantile returns the q-quantile (0 to 1) of samples, between neighbours by
// linear interpolation; NaN if there are none. The median is quantile 0.5.
func quantile(samples []float64, q float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(samples))
	at := q * float64(len(s)-1)
	low := int(at)
	if low == len(s)-1 {
		return s[low]
	}
	return s[low] + (at-float64(low))*(s[low+1]-s[low])
}

func median(samples []float64) float64 { return quantile(samples, 0.5) }

// ratio returns the median of a over the median of b, NaN if one is missing.
func ratio(a, b []float64) float64 {
	if d := median(b); d != 0 {
		return median(a) / d
	}
	return math.NaN()
}
