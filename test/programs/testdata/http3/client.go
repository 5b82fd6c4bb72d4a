package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// get sends COUNT requests over one connection, eight at a time.
func get(args []string) error {
	count, err1 := strconv.Atoi(args[2])
	size, err2 := strconv.Atoi(args[3])
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	transport := &http3.Transport{TLSClientConfig: pinned(args[1])}
	defer transport.Close()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	var wg sync.WaitGroup
	failed := make(chan error, count)
	slots := make(chan bool, 8)
	begin := time.Now()
	for range count {
		slots <- true
		wg.Go(func() {
			if err := request(client, args[0], size); err != nil {
				failed <- err
			}
			<-slots
		})
	}
	wg.Wait()
	close(failed)
	if err := <-failed; err != nil {
		return err
	}
	fmt.Printf("%d requests of %d bytes in %v\n", count, size, time.Since(begin).Round(time.Millisecond))
	return nil
}

// pinned accepts the one certificate with the hash given.
func pinned(hash string) *tls.Config {
	return &tls.Config{
		ServerName:         "guest.test",
		InsecureSkipVerify: true, // by a chain; the hash is stricter
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if got := fmt.Sprintf("%x", sha256.Sum256(raw[0])); got != hash {
				return fmt.Errorf("the certificate's hash is %s, want %s", got, hash)
			}
			return nil
		},
	}
}

// request sends random bytes and compares what comes back.
func request(client *http.Client, url string, size int) error {
	body := make([]byte, size)
	rand.Read(body)
	resp, err := client.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	switch sum := fmt.Sprintf("%x", sha256.Sum256(body)); {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK || resp.ProtoMajor != 3 || resp.Header.Get("X-Proto") != "HTTP/3.0":
		return fmt.Errorf("%s %s, seen by the server as %q", resp.Proto, resp.Status, resp.Header.Get("X-Proto"))
	case !bytes.Equal(got, body) || resp.Header.Get("X-Sum") != sum:
		return fmt.Errorf("%d bytes came back wrong, of %d", len(got), size)
	}
	return nil
}
