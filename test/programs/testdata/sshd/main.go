// Command sshd is an SSH server on github.com/gliderlabs/ssh: public keys, a few
// commands, exit codes, a terminal's size, port forwarding and SFTP. It takes
// the one authorized key as its argument, as a line of authorized_keys.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/gliderlabs/ssh"
	"github.com/pkg/sftp"
)

func main() {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(strings.Join(os.Args[1:], " ")))
	if err != nil {
		log.Fatalf("the authorized key: %v", err)
	}
	if err := os.Mkdir("/srv", 0o755); err != nil {
		log.Fatal(err)
	}
	forward := &ssh.ForwardedTCPHandler{}
	server := &ssh.Server{
		Addr:    ":22",
		Handler: session,
		PublicKeyHandler: func(ctx ssh.Context, k ssh.PublicKey) bool {
			return ctx.User() == "tailor" && ssh.KeysEqual(k, key)
		},
		SubsystemHandlers:           map[string]ssh.SubsystemHandler{"sftp": files},
		LocalPortForwardingCallback: func(ssh.Context, string, uint32) bool { return true },
		ChannelHandlers: map[string]ssh.ChannelHandler{
			"session":      ssh.DefaultSessionHandler,
			"direct-tcpip": ssh.DirectTCPIPHandler,
		},
		RequestHandlers: map[string]ssh.RequestHandler{
			"tcpip-forward":        forward.HandleSSHRequest,
			"cancel-tcpip-forward": forward.HandleSSHRequest,
		},
	}
	go echo()
	log.Fatal(server.ListenAndServe())
}

// session runs what the client asks for.
func session(s ssh.Session) {
	cmd := s.Command()
	if len(cmd) == 0 {
		cmd = []string{"hello"}
	}
	switch cmd[0] {
	case "hello":
		fmt.Fprintf(s, "hello, %s\n", s.User())
	case "sum": // of standard input
		h := sha256.New()
		n, err := io.Copy(h, s)
		if err != nil {
			fmt.Fprintln(s.Stderr(), err)
			s.Exit(1)
			return
		}
		fmt.Fprintf(s, "%d %x\n", n, h.Sum(nil))
	case "exit":
		code, _ := strconv.Atoi(cmd[1])
		fmt.Fprintln(s.Stderr(), "exiting")
		s.Exit(code)
	case "terminal":
		pty, _, ok := s.Pty()
		fmt.Fprintf(s, "%v %s\n", ok, pty.Term)
	default:
		fmt.Fprintf(s.Stderr(), "%s: no such command\n", cmd[0])
		s.Exit(127)
	}
}

// files serves the file system to an SFTP client.
func files(s ssh.Session) {
	server, err := sftp.NewServer(s, sftp.WithServerWorkingDirectory("/srv"))
	if err != nil {
		log.Print(err)
		return
	}
	if err := server.Serve(); err != nil && err != io.EOF {
		log.Printf("sftp: %v", err)
	}
}
