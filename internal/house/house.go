// Package house holds the rules of this repository, as tests: how files look,
// who may import whom, where unsafe may be used, what is documented. Each rule
// says why it is there. Run them alone with: make check
//
// The rules read the files, not only the packages that build here, so that
// they also hold for other processors, build tags and test data.
package house
