package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
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

const pinataPkg = "../../examples/pinata"

// compiledIn is the secret that the tests' images have in them.
const compiledIn = "compiled-in"

var pinataImages sync.Map // what it is built for to func() (string, error)

// pinataImage builds the Piñata, once for each kind of image.
func pinataImage(t *testing.T, on target) string {
	t.Helper()
	tool := needTool(t)
	image, _ := pinataImages.LoadOrStore(on.build, sync.OnceValues(func() (string, error) {
		img := filepath.Join(vmtest.Dir(), "pinata-"+on.build+".img")
		args := []string{"build", "-t", on.build, "--ldflags", "-X main.secret=" + compiledIn, "-o", img}
		if on.has(ownFiles) {
			args = append(args, "--volumes")
		}
		if out, err := exec.Command(tool, append(args, pinataPkg)...).CombinedOutput(); err != nil {
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

// A pinata is one that runs.
type pinata struct {
	*vmtest.Proc
	on       target
	web      string // addresses of its ports
	server   string
	back     string
	client   string
	backPort string // address on which it looks for who knocked at back
}

// startPinata runs the Piñata, with more flags of run and arguments.
func startPinata(t *testing.T, on target, flags []string, args ...string) *pinata {
	t.Helper()
	p := &pinata{on: on, backPort: vmtest.FreePort(t, "tcp")}
	line := append(on.line(), flags...)
	for _, port := range []struct {
		at         *string
		name, port string
	}{{&p.web, "-web", "80"}, {&p.server, "-server", "10000"}, {&p.back, "-back", "10001"}, {&p.client, "-client", "10002"}} {
		*port.at = vmtest.FreePort(t, "tcp")
		if on.has(ownNetwork) {
			line = append(line, "-p", *port.at+":"+port.port)
		} else {
			args = append(args, port.name, *port.at)
		}
	}
	if !on.has(ownNetwork) {
		args = append(args, "-webs", "127.0.0.1:0")
	}
	_, port, _ := net.SplitHostPort(p.backPort)
	args = append(args, "-back-port", port)
	line = append(append(line, pinataImage(t, on), "--"), args...)
	p.Proc = vmtest.Setting{Limit: *soak + 2*time.Minute}.Start(t, line...)
	if !p.ErrOut.Await("listening on ") {
		t.Fatalf("it does not listen:\n%s", p.ErrOut)
	}
	return p
}

// end stops it as its owner would.
func (p *pinata) end(t *testing.T) {
	t.Helper()
	p.Signal(syscall.SIGTERM)
	p.Wait().Want(t, 0, nil, []string{"shutting down"})
}

func (p *pinata) get(path string) ([]byte, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := client.Get("http://" + p.web + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// pinataStatus is what its /status says.
type pinataStatus struct {
	Doors      map[string]struct{ Begun, Open, Handed, Itself, Failed int }
	Failed     map[string]int
	Crowd      struct{ Doors, Web map[string]int }
	Heap       int `json:"heap_bytes"`
	Peak       int `json:"heap_peak_bytes"`
	Memory     int `json:"memory_bytes"`
	GCs        int `json:"gc_cycles"`
	Goroutines int
}

func (p *pinata) status(t testing.TB) (st pinataStatus) {
	t.Helper()
	text, err := p.get("/status")
	if err == nil {
		err = json.Unmarshal(text, &st)
	}
	if err != nil {
		t.Fatalf("/status: %v: %q\n%s", err, text, clip(p.ErrOut.String()))
	}
	return st
}

// ended returns the figures when so many attempts have ended.
func (p *pinata) ended(t *testing.T, n int) pinataStatus {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		st := p.status(t)
		ended := 0
		for _, d := range st.Doors {
			ended += d.Handed + d.Failed
		}
		if ended >= n {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d attempts of %d have ended:\n%+v", ended, n, st)
		}
	}
}

// A pki is an authority with the certificates and keys it has made, as files.
type pki struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newPKI makes an authority in a folder, with files NAME.pem and NAME.key.
func newPKI(t *testing.T, dir, name string) *pki {
	t.Helper()
	p := &pki{dir: dir}
	p.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	p.cert, p.key = p.issue(t, name, p.cert)
	return p
}

// issue signs a certificate and writes it, the authority itself as the first.
func (p *pki) issue(t *testing.T, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := p.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, p.cert, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p.dir, map[string]string{
		name + ".pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		name + ".key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})),
	})
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// leaf issues a certificate for anybody, for so long.
func (p *pki) leaf(t *testing.T, name string, valid time.Duration) {
	t.Helper()
	p.issue(t, name, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid),
	})
}

// file returns what a file of it has.
func (p *pki) file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// testPKI makes the certificates that peers have.
func testPKI(t *testing.T) *pki {
	t.Helper()
	dir := t.TempDir()
	ca := newPKI(t, dir, "ca")
	ca.leaf(t, "own", time.Hour)
	ca.leaf(t, "good", time.Hour)
	ca.leaf(t, "expired", -time.Minute)
	newPKI(t, dir, "other").leaf(t, "stranger", time.Hour)
	newPKI(t, dir, "selfsigned")
	return ca
}

// args are those that give the authority as boot parameters.
func (p *pki) args(t *testing.T) []string {
	t.Helper()
	return []string{"-ca", p.file(t, "ca.pem"), "-cert", p.file(t, "own.pem"), "-key", p.file(t, "own.key")}
}

// pinataPeers are kinds of peers: openssl's flags, and why the Piñata refuses it as
// a client and as a server, "" for not at all. Few are enough where the guest is emulated.
var pinataPeers = []struct {
	name, cert         string
	flags              []string
	asClient, asServer string
	few                bool
}{
	{"good", "good", nil, "", "", true},
	{"wrong authority", "stranger", nil, "of another authority", "of another authority", true},
	{"expired", "expired", nil, "expired", "expired", false},
	{"self-signed", "selfsigned", nil, "of another authority", "of another authority", false},
	{"no certificate", "", nil, "no certificate", "older than TLS 1.3", true}, // without one, s_server has no TLS 1.3
	{"TLS 1.2", "good", []string{"-tls1_2"}, "older than TLS 1.3", "older than TLS 1.3", false},
}

// openssl runs s_client or s_server as a peer, and returns what it printed. ready
// is called when a server listens.
func openssl(t *testing.T, ca *pki, cert string, ready func(), args ...string) string {
	t.Helper()
	args = append(args, "-CAfile", filepath.Join(ca.dir, "ca.pem"))
	switch {
	case cert != "":
		args = append(args, "-cert", filepath.Join(ca.dir, cert+".pem"), "-key", filepath.Join(ca.dir, cert+".key"))
	case args[0] == "s_server":
		args = append(args, "-nocert")
	}
	r, w, err := os.Pipe() // where nothing comes, and which does not end
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	p := vmtest.Setting{Stdin: r}.Exec(t, xtest.NeedCommand(t, "openssl", "openssl"), args...)
	if ready != nil {
		if !p.Out.Await("ACCEPT") {
			t.Fatalf("%v does not listen: %s", args, p.ErrOut)
		}
		ready()
	}
	return p.Wait().Stdout
}

// OpenSSL as the peer, at each door: who has a certificate of the authority gets
// the secret, nobody else gets it, and each is refused for its reason.
func TestPinataPeers(t *testing.T) {
	xtest.NeedCommand(t, "openssl", "openssl")
	ca := testPKI(t)
	each(t, func(t *testing.T, on target) {
		p := startPinata(t, on, nil, append(ca.args(t), "-secret", "from-a-parameter", "-back-every", "0s")...)
		n := 0
		check := func(who, why, out string, before pinataStatus) {
			t.Helper()
			n++
			now := p.ended(t, n)
			if got := strings.Contains(out, "from-a-parameter"); got != (why == "") {
				t.Errorf("%s: has the secret: %v\n%s", who, got, clip(out))
			}
			if why != "" && now.Failed[why] != before.Failed[why]+1 {
				t.Errorf("%s: not refused because %q, but %v", who, why, now.Failed)
			}
		}
		for _, peer := range pinataPeers {
			if on.slow > 1 && !peer.few {
				continue
			}
			before := p.status(t)
			out := openssl(t, ca, peer.cert, nil, append([]string{"s_client", "-connect", p.server, "-quiet"}, peer.flags...)...)
			check(peer.name+" as a client", peer.asClient, out, before)
			before = p.status(t)
			out = openssl(t, ca, peer.cert, func() { knock(t, p.back) },
				append([]string{"s_server", "-accept", p.backPort, "-naccept", "1", "-Verify", "1"}, peer.flags...)...)
			check(peer.name+" connected back to", peer.asServer, out, before)
		}
		before := p.status(t)
		out := openssl(t, ca, "good", func() { relay(t, p.client, p.backPort) }, "s_server", "-accept", p.backPort, "-naccept", "1", "-Verify", "1")
		check("a server on its own connection", "", out, before)
		before = p.status(t)
		out = openssl(t, ca, "good", func() { relay(t, p.client, p.backPort) }, "s_server", "-accept", p.backPort, "-naccept", "1")
		check("a server that asks for no certificate", "did not ask for ours", out, before)
		p.end(t)
	})
}

// knock makes a connection and waits until it is closed.
func knock(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	if got, err := io.ReadAll(c); err != nil || len(got) != 0 {
		t.Errorf("a connection back begins with %q, %v", got, err)
	}
}

// relay leads one address to another, until either side ends.
func relay(t *testing.T, a, b string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), xtest.NeedCommand(t, "socat", "socat"), "TCP:"+a, "TCP:"+b)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go cmd.Wait()
}

// Short-circuited by socat, it authenticates to itself, through either door: its
// own authority, made at the start, has signed nobody else.
func TestPinataTalksToItself(t *testing.T) {
	socat := xtest.NeedCommand(t, "socat", "socat")
	each(t, func(t *testing.T, on target) {
		p := startPinata(t, on, nil)
		if out, err := exec.Command(socat, "TCP:"+p.client, "TCP:"+p.server).CombinedOutput(); err != nil {
			t.Errorf("socat: %v\n%s", err, out)
		}
		st := p.ended(t, 2)
		if st.Doors["client"].Itself != 1 || st.Doors["server"].Itself != 1 {
			t.Errorf("door to door: %+v", st)
		}
		back := exec.Command(socat, "TCP-LISTEN:"+strings.TrimPrefix(p.backPort, "127.0.0.1:")+",bind=127.0.0.1", "TCP:"+p.server)
		if err := back.Start(); err != nil {
			t.Fatal(err)
		}
		waitListens(t, p.backPort)
		knock(t, p.back)
		if err := back.Wait(); err != nil {
			t.Errorf("socat: %v", err)
		}
		st = p.ended(t, 4)
		if st.Doors["back"].Itself != 1 || st.Doors["server"].Itself != 2 {
			t.Errorf("back to the door: %+v", st)
		}
		knock(t, p.back) // again, too soon
		if st = p.ended(t, 5); st.Failed["connected back too often"] != 1 {
			t.Errorf("connected back twice: %+v", st)
		}
		p.end(t)
	})
}

// waitListens waits until there is a listener, without connecting to it.
func waitListens(t *testing.T, addr string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	var n int
	fmt.Sscan(port, &n)
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		// /proc/net would be that of the process's first thread, which may be in another namespace.
		table, err := os.ReadFile("/proc/thread-self/net/tcp")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) && f[3] == "0A" {
				return
			}
		}
	}
	t.Fatal("nobody listens on ", addr)
}

// The secret and the authority come compiled in, from a volume, from secrets and
// as parameters; the nearer counts more.
func TestPinataConfiguration(t *testing.T) {
	xtest.NeedCommand(t, "openssl", "openssl")
	ca := testPKI(t)
	conf := filepath.Join(t.TempDir(), "conf")
	if err := os.Mkdir(conf, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, conf, map[string]string{"secret": "from-the-volume", "ca.pem": ca.file(t, "ca.pem"), "cert.pem": ca.file(t, "own.pem"), "key.pem": ca.file(t, "own.key")})
	image := conf + ".img"
	run(t, "volume", "pack", image, conf+"/").want(t, 0, nil, nil)
	near := t.TempDir()
	write(t, near, map[string]string{"secret": "from-a-secret"})
	volume := []string{"--volume", "conf=" + image + ":/etc/pinata:ro"}
	secret := append(volume, "--secret", "secret="+near+"/secret")
	each(t, func(t *testing.T, on target) {
		for _, tt := range []struct {
			want        string
			flags, args []string
		}{
			{compiledIn, nil, ca.args(t)},
			{"from-the-volume", volume, nil},
			{"from-a-secret", secret, nil},
			{"from-a-parameter", secret, []string{"-secret", "from-a-parameter"}},
		} {
			p := startPinata(t, on, tt.flags, tt.args...)
			if text, err := p.get("/ca.pem"); err != nil || !bytes.Equal(bytes.TrimSpace(text), []byte(strings.TrimSpace(ca.file(t, "ca.pem")))) {
				t.Errorf("the authority is another: %v\n%s", err, text)
			}
			if out := openssl(t, ca, "good", nil, "s_client", "-connect", p.server, "-quiet"); out != tt.want {
				t.Errorf("the secret is %q, want %q", out, tt.want)
			}
			p.Kill()
		}
		line := append(append(on.line(), volume...), pinataImage(t, on), "--", "-ca", ca.file(t, "other.pem"))
		start(t, nil, line...).wait().want(t, 1, nil, []string{"cert: x509: certificate signed by unknown authority"})
	}, ownFiles, computing)
}
