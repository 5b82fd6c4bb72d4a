package programs

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

// An sshClient is OpenSSH's, with a key that the guest accepts.
type sshClient struct {
	t     *testing.T
	g     *guest
	flags []string // for ssh and sftp
}

func newSSH(t *testing.T, on target) *sshClient {
	keygen := xtest.NeedCommand(t, "ssh-keygen", "openssh-client")
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	client(t, keygen, "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", key)
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	g := on.boot(t, local(t, "sshd"), []string{"22/tcp"}, strings.TrimSpace(string(public)))
	g.answers(func() error { return exchange(g.addrs["22/tcp"], "", "SSH-2.0-") })
	return &sshClient{t, g, []string{"-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile=" + filepath.Join(dir, "known"), "-o", "LogLevel=ERROR"}}
}

// run runs ssh with more flags and a command.
func (c *sshClient) run(stdin io.Reader, flags []string, user, command string) vmtest.Result {
	c.t.Helper()
	args := append(append([]string{"-p", c.g.port("22/tcp")}, c.flags...), flags...)
	return vmtest.Setting{Stdin: stdin}.Exec(c.t, xtest.NeedCommand(c.t, "ssh", "openssh-client"), append(args, user+"@127.0.0.1", command)...).Wait()
}

// TestSSH: a server on gliderlabs/ssh, with OpenSSH's ssh and sftp.
func TestSSH(t *testing.T) { each(t, testSSH, "spt") }

func testSSH(t *testing.T, on target) {
	c := newSSH(t, on)
	t.Run("commands", func(t *testing.T) {
		c.run(nil, nil, "tailor", "hello").Want(t, 0, []string{"hello, tailor\n"}, nil)
		c.run(nil, nil, "tailor", "exit 7").Want(t, 7, nil, []string{"exiting"})
		c.run(nil, nil, "tailor", "nonsense").Want(t, 127, nil, []string{"nonsense: no such command"})
		c.run(nil, []string{"-tt"}, "tailor", "terminal").Want(t, 0, []string{"true "}, nil)
		c.run(nil, nil, "mallory", "hello").Want(t, 255, nil, []string{"Permission denied (publickey)"})
	})
	t.Run("stdin", func(t *testing.T) {
		data := make([]byte, 8<<20)
		rand.Read(data)
		r := c.run(bytes.NewReader(data), nil, "tailor", "sum")
		r.Want(t, 0, []string{fmt.Sprintf("%d %x\n", len(data), sha256.Sum256(data))}, nil)
		t.Logf("8 MiB in %v", r.Took.Round(time.Millisecond))
	})
	t.Run("sftp", c.files)
	t.Run("forwarding", c.forwarding)
}

// files puts a file into the guest's file system and gets it back.
func (c *sshClient) files(t *testing.T) {
	sftp := xtest.NeedCommand(t, "sftp", "openssh-client")
	dir := t.TempDir()
	data := make([]byte, 3<<20)
	rand.Read(data)
	if err := os.WriteFile(filepath.Join(dir, "there"), data, 0o640); err != nil {
		t.Fatal(err)
	}
	batch := "mkdir sub\nput -p there sub/file\nrename sub/file sub/other\nln -s sub/other sub/link\nls -l sub\nget sub/link back\nrm sub/link\nrm sub/other\nrmdir sub\nls\n"
	args := append([]string{"-P", c.g.port("22/tcp"), "-b", "-"}, c.flags...)
	out := clientIn(t, vmtest.Setting{Stdin: strings.NewReader(batch), Dir: dir}, sftp, append(args, "tailor@127.0.0.1")...)
	if !strings.Contains(out, "-rw-r-----") || !strings.Contains(out, fmt.Sprint(len(data))) {
		t.Errorf("ls -l does not tell the mode and size of the file:\n%s", out)
	}
	back, err := os.ReadFile(filepath.Join(dir, "back"))
	if err != nil || !bytes.Equal(back, data) {
		t.Errorf("got %d bytes back of %d, or others: %v", len(back), len(data), err)
	}
	if !strings.HasSuffix(out, "sftp> ls\n") {
		t.Errorf("something is left:\n%s", out)
	}
}

// forwarding reaches a port of the guest's loopback through the connection.
func (c *sshClient) forwarding(t *testing.T) {
	addr := vmtest.FreePort(t, "tcp")
	args := append(append([]string{"-p", c.g.port("22/tcp")}, c.flags...), "-N", "-L", addr+":127.0.0.1:7", "tailor@127.0.0.1")
	p := vmtest.Setting{}.Exec(t, xtest.NeedCommand(t, "ssh", "openssh-client"), args...)
	var conn net.Conn
	for {
		var err error
		if conn, err = net.Dial("tcp", addr); err == nil {
			break
		}
		select {
		case <-p.Done:
			t.Fatalf("ssh -L ended: %+v", p.Wait())
		case <-time.After(5 * time.Millisecond):
		}
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	data := make([]byte, 1<<20)
	rand.Read(data)
	go conn.Write(data)
	back := make([]byte, len(data))
	if n, err := io.ReadFull(conn, back); err != nil || !bytes.Equal(back, data) {
		t.Errorf("%d bytes came back of %d, or others: %v", n, len(data), err)
	}
}
