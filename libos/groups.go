package libos

import "sync"

// A group of calls is taken into use once; the linker drops the groups whose
// function is not reachable.
var filesOnce, pipesOnce, mapsOnce, othersOnce sync.Once

// UseFiles takes the calls for paths, files and directories into use, and makes
// the root file system. It may be called by any goroutine, at any time after
// the hooks are set.
func UseFiles() { filesOnce.Do(startFiles) }

func startFiles() {
	install(fileCalls)
	makeRoot()
	fillRoot(bootParams)
}

// UsePipes takes pipes into use.
func UsePipes() {
	pipesOnce.Do(func() {
		install(pipeCalls)
		usePoll()
	})
}

// UseMappings takes mmap and its kin into use.
func UseMappings() { mapsOnce.Do(func() { install(mapCalls) }) }

// useSockets takes the calls of sockets into use.
func useSockets() {
	install(socketCalls)
	usePoll()
}

// UseAll takes all calls into use; sockets of AF_INET need a network.
func UseAll() {
	UseFiles()
	UsePipes()
	UseMappings()
	othersOnce.Do(func() {
		install(otherCalls)
		makeFifo = newFifo
		installRefused()
		useSockets()
	})
}
