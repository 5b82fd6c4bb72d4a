// Command tlsguest verifies certificates: of a server of its own, whose
// certificate and key are in the folder /tls, and of files. Before, it says what its
// cryptography has to work with.
package main

import (
	"crypto/fips140"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/cpu"
)

func main() {
	fmt.Printf("FIPS 140-3 %v, processor %+v\n", fips140.Enabled(), cpu.X86)
	if err := handshake(); err != nil {
		fmt.Println("handshake:", err)
	} else {
		fmt.Println("handshake: verified")
	}
	for _, name := range os.Args[1:] {
		fmt.Println(name+":", verify(name))
	}
}

// handshake connects to a server of the same program.
func handshake() error {
	cert, err := tls.LoadX509KeyPair("/tls/cert.pem", "/tls/key.pem")
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			c.(*tls.Conn).Handshake()
		}
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	return tls.Client(raw, &tls.Config{ServerName: "server.test"}).Handshake()
}

// verify verifies a certificate by the system's roots.
func verify(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	_, err = cert.Verify(x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}
