package ext4

// CheckpointOften makes fs write metadata to its place after nearly each commit.
func (fs *FS) CheckpointOften() { fs.maxWaiting = 3 }
