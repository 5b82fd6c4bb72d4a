package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

const guestbookPkg = "../../examples/guestbook"

var volumeImages sync.Map // name of the file to func() (string, error)

// volumeImage builds the image of a package that is to see volumes, once for each
// kind of image. flags are more of build.
func volumeImage(t *testing.T, on target, pkg string, flags ...string) string {
	t.Helper()
	tool := needTool(t)
	name := filepath.Base(pkg) + "-" + on.build + strings.Join(flags, "") + ".vol.img"
	image, _ := volumeImages.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		img := filepath.Join(vmtest.Dir(), name)
		args := append([]string{"build", "-t", on.build, "--needs", "data", "-o", img}, flags...)
		out, err := exec.Command(tool, append(args, pkg)...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%w\n%s", err, out)
		}
		return img, nil
	}))
	img, err := image.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// eachVolumeTarget runs a test on each target that has volumes.
func eachVolumeTarget(t *testing.T, f func(t *testing.T, on target)) {
	each(t, f, ownFiles)
}

// dataVolume makes a read-write volume.
func dataVolume(t *testing.T, size string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.img")
	run(t, "volume", "create", "--size", size, path).want(t, 0, nil, nil)
	return path
}

// A guestbook is one that runs.
type guestbook struct {
	*vmtest.Proc
	url    string
	client *http.Client
}

// startGuestbook runs the guest book with volumes, given as flags of run, and
// waits until it listens on a port of the guest.
func startGuestbook(t *testing.T, on target, flags []string, scheme string, args ...string) *guestbook {
	t.Helper()
	addr := vmtest.FreePort(t, "tcp")
	port := map[string]string{"http": "80", "https": "443"}[scheme]
	line := append(on.line("-p", addr+":"+port), flags...)
	line = append(append(line, volumeImage(t, on, guestbookPkg)), args...)
	g := &guestbook{Proc: vmtest.Setting{Limit: 2 * time.Minute}.Start(t, line...), url: scheme + "://" + addr}
	if !g.ErrOut.Await("listening on " + scheme) {
		t.Fatalf("%v does not listen:\n%s", line, g.ErrOut)
	}
	g.client = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 16},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}
	t.Cleanup(g.client.CloseIdleConnections)
	return g
}

// post writes an entry, and reports the answer's status.
func (g *guestbook) post(text string) (int, error) {
	resp, err := g.client.PostForm(g.url+"/", url.Values{"name": {"tester"}, "text": {text}})
	if err != nil {
		return 0, err
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode, nil
}

func (g *guestbook) get(t *testing.T, path string) string {
	t.Helper()
	resp, err := g.client.Get(g.url + path)
	if err != nil {
		t.Fatalf("%v\n%s", err, g.ErrOut)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", path, resp.Status, err)
	}
	return string(text)
}

// entryTexts returns how often each text is in a book.
func entryTexts(t *testing.T, book string) map[string]int {
	t.Helper()
	has := map[string]int{}
	for line := range strings.Lines(book) {
		var e struct{ Text string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		has[e.Text]++
	}
	return has
}

// checkVolume has e2fsck say that a volume is sound, after its journal was
// replayed if that is allowed. It works on a copy.
func checkVolume(t *testing.T, path string, replay bool) {
	t.Helper()
	fsck := xtest.NeedCommand(t, "e2fsck", "e2fsprogs")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "copy.img")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	if replay {
		if out, err := exec.Command(fsck, "-E", "journal_only", "-p", path).CombinedOutput(); err != nil && !strings.Contains(string(out), "recovering journal") {
			t.Errorf("e2fsck -E journal_only: %v\n%s", err, out)
		}
	}
	if out, err := exec.Command(fsck, "-fn", path).CombinedOutput(); err != nil {
		t.Errorf("e2fsck -fn: %v\n%s", err, out)
	}
}

// A virtual machine that is killed while visitors write, again and again, loses no
// entry that it has acknowledged, and its volume is sound each time.
func TestGuestbookKilled(t *testing.T) {
	eachVolumeTarget(t, func(t *testing.T, on target) {
		rounds := 20
		if testing.Short() {
			rounds = 3
		}
		data := dataVolume(t, "16M")
		sent, acked := map[string]bool{}, map[string]bool{}
		for round := range rounds {
			g := startGuestbook(t, on, []string{"--volume", "data=" + data + ":/data"}, "http")
			checkEntries(t, g.get(t, "/entries"), sent, acked)
			postUntilKilled(t, g, round, sent, acked)
			if t.Failed() {
				t.Fatalf("round %d\n%s", round, g.ErrOut)
			}
			checkVolume(t, data, true)
		}
		g := startGuestbook(t, on, []string{"--volume", "data=" + data + ":/data"}, "http")
		checkEntries(t, g.get(t, "/entries"), sent, acked)
		g.Signal(syscall.SIGTERM)
		g.Wait().Want(t, 0, nil, []string{"shutting down"})
		checkVolume(t, data, false) // whose journal is empty after a regular end
		t.Logf("%d entries acknowledged, %d sent", len(acked), len(sent))
	})
}

// postUntilKilled has eight visitors write, and kills the machine when that many
// more entries were acknowledged as the round says.
func postUntilKilled(t *testing.T, g *guestbook, round int, sent, acked map[string]bool) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	n, stop := 0, false
	enough := make(chan struct{})
	for visitor := range 8 {
		all.Go(func() {
			for i := 0; ; i++ {
				text := fmt.Sprintf("%d/%d/%d/%s", round, visitor, i, strings.Repeat("x", (round*7+visitor*131+i*17)%700))
				mu.Lock()
				end := stop
				sent[text] = true
				mu.Unlock()
				if end {
					return
				}
				code, err := g.post(text)
				if err != nil {
					return // killed
				}
				mu.Lock()
				if code == http.StatusSeeOther {
					acked[text] = true
				} else {
					t.Errorf("POST: %d", code)
				}
				if n++; n == 10+round*5 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(time.Minute):
		t.Error("no progress in a minute")
	case <-g.Done:
		t.Error("it has ended by itself")
	}
	g.Kill()
	mu.Lock()
	stop = true
	mu.Unlock()
	all.Wait()
	waitUnlocked(t, g)
}

// waitUnlocked waits until nobody has the volume of a machine that was killed open
// any more, as a QEMU that is ending has. It asks the HTTP port: whoever has the one
// has the other.
func waitUnlocked(t *testing.T, g *guestbook) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := http.NewRequest("GET", g.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := g.client.Do(c)
		if err != nil {
			return // its port is closed
		}
		resp.Body.Close()
		if time.Now().After(deadline) {
			t.Fatal("it listens 10 s after it was killed")
		}
	}
}

// checkEntries compares a book with what was sent and acknowledged.
func checkEntries(t *testing.T, book string, sent, acked map[string]bool) {
	t.Helper()
	has := entryTexts(t, book)
	for text := range acked {
		if has[text] != 1 {
			t.Errorf("%.30q was acknowledged, and is there %d times", text, has[text])
		}
	}
	for text, n := range has {
		if !sent[text] || n != 1 {
			t.Errorf("%.30q is there %d times, sent: %v", text, n, sent[text])
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// writeKey makes a TLS key and a certificate for 127.0.0.1 in a folder, and returns
// a pool that trusts it.
func writeKey(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"guestbook.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{"tls.crt": crt, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(crt)
	return pool
}

// Key and settings come from a read-only volume, a flag counts more, and entries
// survive a regular end.
func TestGuestbookVolumes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "conf")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	pool := writeKey(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "guestbook.json"), []byte(`{"title": "From the volume"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := dir + ".img"
	run(t, "volume", "pack", conf, dir+"/").want(t, 0, nil, nil)
	eachVolumeTarget(t, func(t *testing.T, on target) {
		data := dataVolume(t, "16M")
		flags := []string{"--volume", "data=" + data + ":/data", "--volume", "conf=" + conf + ":/etc/app:ro"}
		for i, tt := range []struct {
			args  []string
			title string
		}{
			{nil, "From the volume"},
			{[]string{"--", "--title", "From a boot parameter"}, "From a boot parameter"},
		} {
			g := startGuestbook(t, on, flags, "https", tt.args...)
			g.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "guestbook.test"}}
			if code, err := g.post(fmt.Sprint("entry ", i)); err != nil || code != http.StatusSeeOther {
				t.Fatalf("POST: %d, %v\n%s", code, err, g.ErrOut)
			}
			page := g.get(t, "/")
			for _, want := range []string{"<h1>" + tt.title + "</h1>", "<p>entry 0</p>", fmt.Sprintf("<p>%d entries</p>", i+1)} {
				if !strings.Contains(page, want) {
					t.Errorf("run %d: the page has no %q:\n%s", i, want, page)
				}
			}
			g.Signal(syscall.SIGTERM)
			g.Wait().Want(t, 0, nil, nil)
		}
		r := run(t, "volume", "cat", data, "/entries.jsonl")
		if has := entryTexts(t, r.stdout); has["entry 0"] != 1 || has["entry 1"] != 1 {
			t.Errorf("tailor volume cat: %q %s", r.stdout, r.stderr)
		}
		checkVolume(t, data, false)
	})
}
