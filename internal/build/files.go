package build

import (
	"os"
	"strconv"

	"github.com/tailor-os/tailor/internal/archive"
	"github.com/tailor-os/tailor/internal/hint"
)

// readFiles reads the names of the files that go into the image; nil for none.
func readFiles(cfg Config) (*archive.Archive, error) {
	if len(cfg.Files) == 0 {
		return nil, nil
	}
	if cfg.Target == Unix {
		return nil, hint.Errorf("remove --file, or build an image: -t hvt",
			"--file %s: a plain program (target unix) carries no files, it sees those of the machine it runs on", cfg.Files[0])
	}
	epoch, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return nil, err
	}
	return archive.New(cfg.Files, epoch)
}

// sourceDate reads SOURCE_DATE_EPOCH; nil if it is not set.
func sourceDate(s string) (*int64, error) {
	if s == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return nil, hint.Errorf("set it to seconds since 1970, such as the output of: git log -1 --format=%ct",
			"SOURCE_DATE_EPOCH=%s is not a number of seconds", s)
	}
	return &n, nil
}
