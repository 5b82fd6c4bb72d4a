// Package parameters tells services that are linked beside the program, in images and
// in plain processes alike, which parameters there are.
package parameters
