package ext4

// CheckpointOften makes fs write metadata to its place after nearly each commit.
func (fs *FS) CheckpointOften() { fs.maxWaiting = 3 }

// SmallTransactions makes fs commit whenever a few blocks have changed.
func (fs *FS) SmallTransactions() { fs.journal.maxTxn = opBlocks + 8 }

// WriteDirect makes writes go past the cache from so many bytes on.
func (fs *FS) WriteDirect(bytes int) { fs.directWrite = bytes }
