package port

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Data that a Linux program finds in files of the system, and an image has in
// itself where the program can reach what asks for it: zone data from the
// toolchain's own time/tzdata, and root certificates from a module of the Go
// project's that holds Mozilla's.

// rootsModule has the root certificates.
const rootsModule = "golang.org/x/crypto/x509roots/fallback"

// DataEdits are the edits, of files of GOROOT/src, that ask for the data.
var DataEdits = []Edit{
	{
		File: "time/zoneinfo.go",
		Old:  "\tzoneinfoOnce.Do(func() {\n", New: "\tzoneinfoOnce.Do(func() {\n\t\tloadFromEmbeddedTZData = zones.Load\n",
		Why: "LoadLocation brings the zone data, which is looked at when no file has the zone.",
	},
	{
		File: "time/zoneinfo.go",
		Old:  "import (\n", New: "import (\n\tzones \"Tailor/zones\"\n",
		Why: "See above.",
	},
	{
		File: "crypto/x509/root.go",
		Old:  "\tonce.Do(initSystemRoots)\n", New: "\tonce.Do(initSystemRoots)\n\tif tailorRoots != nil {\n\t\ttailorOnce.Do(addTailorRoots)\n\t}\n",
		Why: "Root certificates that came with the image are used when no file, and no variable that names one, says otherwise.",
	},
	{
		File: "crypto/x509/cert_pool.go",
		Old:  "func SystemCertPool() (*CertPool, error) {\n", New: "func SystemCertPool() (*CertPool, error) {\n\tTailorUseRoots()\n",
		Why: "What verifies certificates brings the roots,",
	},
	{
		File: "crypto/x509/verify.go",
		Old:  "func (c *Certificate) Verify(opts VerifyOptions) ([][]*Certificate, error) {\n",
		New: "func (c *Certificate) Verify(opts VerifyOptions) ([][]*Certificate, error) {\n\tTailorUseRoots()\n\treturn TailorVerify(c, opts)\n}\n\n" +
			"// TailorVerify is Verify, with the roots that something else brought.\n" +
			"func TailorVerify(c *Certificate, opts VerifyOptions) ([][]*Certificate, error) {\n",
		Why: "this too,",
	},
	{
		File: "crypto/tls/tls.go",
		Old:  "func Client(conn net.Conn, config *Config) *Conn {\n",
		New: "func Client(conn net.Conn, config *Config) *Conn {\n\tx509.TailorUseRoots()\n\treturn TailorClient(conn, config)\n}\n\n" +
			"// TailorClient is Client for a connection that verifies nothing.\n" +
			"func TailorClient(conn net.Conn, config *Config) *Conn {\n",
		Why: "and a client of TLS;",
	},
	{
		File: "crypto/tls/common.go", Old: "leaf.Verify(opts)", New: "x509.TailorVerify(leaf, opts)",
		Why: "but not what every server links without ever asking for them.",
	},
	{
		File: "crypto/tls/common.go", Old: "root.Verify(opts)", New: "x509.TailorVerify(root, opts)",
		Why: "See above.",
	},
	{
		File: "crypto/tls/handshake_client.go", Old: "certs[0].Verify(opts)", New: "x509.TailorVerify(certs[0], opts)", Count: 2,
		Why: "See above: who is a client has called Client.",
	},
	{
		File: "crypto/tls/handshake_server.go", Old: "certs[0].Verify(opts)", New: "x509.TailorVerify(certs[0], opts)",
		Why: "See above: a server verifies its clients by roots of its own, ClientCAs.",
	},
	{
		File: "net/http/server.go",
		Old:  "tls.Client(unencryptedNetConnInTLSConn{conn: c}, nil)", New: "tls.TailorClient(unencryptedNetConnInTLSConn{conn: c}, nil)",
		Why: "See above: this only looks like a connection with TLS.",
	},
}

// zoneEdits make Tailor/zones of time/tzdata.
var zoneEdits = []Edit{
	{Old: "func init() {\n\tregisterLoadFromEmbeddedTZData(loadFromEmbeddedTZData)\n}\n"},
	{Old: "//go:linkname registerLoadFromEmbeddedTZData time.registerLoadFromEmbeddedTZData\nfunc registerLoadFromEmbeddedTZData(func(string) (string, error))\n"},
	{Old: "\t_ \"unsafe\" // for go:linkname\n"},
	{Old: "func loadFromEmbeddedTZData(name string)", New: "func Load(name string)"},
}

// zonesLink is what remains of time/tzdata, for a program that imports it.
const zonesLink = `package tzdata

import (
	zones "Tailor/zones"
	_ "unsafe" // for go:linkname
)

//go:linkname registerLoadFromEmbeddedTZData time.registerLoadFromEmbeddedTZData
func registerLoadFromEmbeddedTZData(func(string) (string, error))

func init() { registerLoadFromEmbeddedTZData(zones.Load) }
`

// zones lays the toolchain's zone data as a package that package time can
// import without having it in every program.
func (d *deriver) zones(version string) error {
	var texts [2]string
	for i, name := range []string{"tzdata.go", "zzipdata.go"} {
		data, err := os.ReadFile(filepath.Join(d.goroot, "time", "tzdata", name))
		if err != nil {
			return &UnsupportedError{version, err.Error()}
		}
		texts[i] = string(data)
	}
	code, err := applyEdits(texts[0], zoneEdits)
	if err != nil {
		return &UnsupportedError{version, "time/tzdata/tzdata.go: " + err.Error()}
	}
	for name, text := range map[string]string{
		Prefix + "zones/zones.go": code, Prefix + "zones/data.go": texts[1],
		"time/tzdata/tzdata.go": zonesLink, "time/tzdata/zzipdata.go": "package tzdata\n",
	} {
		if err := d.put(name, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// A root is one certificate of the bundle: where it is in it, where its subject
// is, and until when it signs certificates that are to be trusted.
type root struct {
	off, size, subject, subjectSize int
	until                           int64 // seconds since 1970, 0 for ever
}

// roots adds the root certificates to package x509.
func (d *deriver) roots() error {
	d.laid[rootsModule] = true
	dir := filepath.Join(d.modules[rootsModule].Dir, "bundle")
	der, err := os.ReadFile(filepath.Join(dir, "bundle.der"))
	if err != nil {
		return err
	}
	list, err := bundledRoots(filepath.Join(dir, "bundle.go"), der)
	if err != nil {
		return fmt.Errorf("%s: %w", rootsModule, err)
	}
	var b strings.Builder
	b.WriteString(rootsText)
	b.WriteString("\nvar tailorRootTable = [...]tailorRoot{\n")
	for _, r := range list {
		fmt.Fprintf(&b, "\t{%d, %d, %d, %d, %d},\n", r.off, r.size, r.subject, r.subjectSize, r.until)
	}
	fmt.Fprintf(&b, "}\n\nconst tailorRootsDER = %q\n", der)
	return d.put("crypto/x509/tailor_roots.go", []byte(b.String()))
}

// bundledRoots reads the bundle's table, which is Go source.
func bundledRoots(file string, der []byte) (list []root, err error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || lit.Type != nil || err != nil {
			return true
		}
		var r root
		if r, err = bundledRoot(lit, der); err == nil {
			list = append(list, r)
		}
		return false
	})
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%s lists no certificates", file)
	}
	return list, err
}

func bundledRoot(lit *ast.CompositeLit, der []byte) (r root, err error) {
	fields := map[string]string{}
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return r, fmt.Errorf("a certificate without names of fields")
		}
		key, _ := kv.Key.(*ast.Ident)
		value, _ := kv.Value.(*ast.BasicLit)
		if key == nil || value == nil {
			return r, fmt.Errorf("a certificate of another form")
		}
		fields[key.Name] = value.Value
	}
	off, err1 := strconv.Atoi(fields["certStartOff"])
	size, err2 := strconv.Atoi(fields["certLength"])
	if err1 != nil || err2 != nil || off < 0 || size <= 0 || off+size > len(der) {
		return r, fmt.Errorf("a certificate at byte %s of %s bytes", fields["certStartOff"], fields["certLength"])
	}
	for name := range fields {
		switch name {
		case "cn", "sha256Hash", "certStartOff", "certLength", "distrustAfter":
		default:
			return r, fmt.Errorf("a certificate with a constraint that is not known here: %s", name)
		}
	}
	cert, err := x509.ParseCertificate(der[off : off+size])
	if err != nil {
		return r, err
	}
	r = root{off: off, size: size, subject: off + bytes.Index(cert.Raw, cert.RawSubject), subjectSize: len(cert.RawSubject)}
	if text := fields["distrustAfter"]; text != "" {
		text, err = strconv.Unquote(text)
		if err != nil {
			return r, err
		}
		after, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return r, err
		}
		r.until = after.Unix()
	}
	return r, nil
}

// rootsText is the code that goes with the certificates. They are parsed one by
// one, when a chain may end in them.
const rootsText = `package x509

import (
	"crypto/sha256"
	"errors"
	"os"
	"sync"
	"time"
)

// TailorUseRoots brings the root certificates: they are linked where it can be
// reached.
func TailorUseRoots() { tailorRoots = tailorBundle }

var (
	tailorRoots func() *CertPool
	tailorOnce  sync.Once
)

// addTailorRoots makes them the system's, unless there are others.
func addTailorRoots() {
	systemRootsMu.Lock()
	defer systemRootsMu.Unlock()
	if systemRoots.len() == 0 && os.Getenv(certFileEnv) == "" && os.Getenv(certDirEnv) == "" {
		systemRoots, systemRootsErr = tailorRoots(), nil
	}
}

type tailorRoot struct {
	off, size, subject, subjectSize int32
	until                           int64
}

func tailorBundle() *CertPool {
	p := NewCertPool()
	for _, r := range tailorRootTable {
		der := tailorRootsDER[r.off : r.off+r.size]
		parse := func() (*Certificate, error) { return ParseCertificate([]byte(der)) }
		var check func([]*Certificate) error
		if r.until != 0 {
			check = func(chain []*Certificate) error { return tailorTrusts(chain, r.until) }
		}
		p.addCertFunc(sha256.Sum224([]byte(der)), tailorRootsDER[r.subject:r.subject+r.subjectSize], parse, check)
	}
	return p
}

// tailorTrusts refuses certificates that a root signed when it was no longer
// trusted.
func tailorTrusts(chain []*Certificate, until int64) error {
	for _, c := range chain {
		if c.NotBefore.After(time.Unix(until, 0)) {
			return errors.New("x509: certificate issued after its root was no longer trusted for new ones")
		}
	}
	return nil
}
`
