// Package boot is the parent of the packages that bring an image's services up
// before main; each is linked only into images that need it.
package boot
