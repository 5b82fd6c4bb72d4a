package programs

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/vmtest"
)

// TestBoltVolume: a bbolt database on an ext4 volume, through virtual machines that
// are killed. What was acknowledged is there afterwards, and the file is sound.
func TestBoltVolume(t *testing.T) { each(t, testBoltVolume, "spt") }

func testBoltVolume(t *testing.T, on target) {
	dir := t.TempDir()
	img, volume := filepath.Join(dir, "boltd.img"), filepath.Join(dir, "data.img")
	tool := vmtest.Setting{Limit: 2 * limit}
	tool.Start(t, "build", "-t", on.build, "--needs", "data", "-o", img, local(t, "boltd")).Wait().Want(t, 0, nil, nil)
	tool.Start(t, "volume", "create", "--size", "64M", volume).Wait().Want(t, 0, nil, nil)
	for life := range 3 {
		g := on.bootImage(t, img, []string{"--volume", "data=" + volume + ":/tmp"}, []string{"8080/tcp"})
		g.answersHTTP(g.url("/"))
		for old := range life {
			want(t, "a value of a life before", curl(t, g.url(fmt.Sprint("/life", old))), fmt.Sprint("value ", old))
		}
		curl(t, "-X", "POST", g.url(fmt.Sprint("/fill?n=", 5000*life))) // the file grows, and is mapped anew
		curl(t, "-X", "PUT", "--data-binary", fmt.Sprint("value ", life), g.url(fmt.Sprint("/life", life)))
		if sound := curl(t, "-X", "POST", g.url("/check")); !strings.HasPrefix(sound, "sound, ") {
			t.Errorf("the file is %q", sound)
		}
		g.Kill()
		g.Wait()
	}
	tool.Start(t, "volume", "check", volume).Wait().Want(t, 0, []string{"ext4"}, nil)
}
