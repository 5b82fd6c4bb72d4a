package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"
)

// piece is how many bytes the server passes to the connection at once, as s_server
// does: those of one record.
const piece = 16 << 10

func serve(addr, pem string) error {
	cert, err := tls.LoadX509KeyPair(pem, pem)
	if err != nil {
		return err
	}
	ln, err := tls.Listen("tcp", addr, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
	if err != nil {
		return err
	}
	fmt.Println("listening on", ln.Addr())
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go answer(conn)
	}
}

// answer serves one connection. That it fails is the client's to tell.
func answer(conn net.Conn) {
	defer conn.Close()
	request := make([]byte, 4096)
	for n := 0; ; {
		m, err := conn.Read(request[n:])
		if err != nil || n+m == len(request) {
			return
		}
		if n += m; bytes.Contains(request[:n], []byte("\r\n\r\n")) {
			request = request[:n]
			break
		}
	}
	head := "HTTP/1.0 200 ok\r\nContent-type: text/plain\r\n\r\n"
	if !strings.HasPrefix(string(request), "GET "+bulkPath+" ") {
		conn.Write([]byte(head + "small\n"))
		return
	}
	if _, err := conn.Write([]byte(head)); err != nil {
		return
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	for p := make([]byte, piece); ; {
		if _, err := conn.Write(p); err != nil {
			return
		}
	}
}
