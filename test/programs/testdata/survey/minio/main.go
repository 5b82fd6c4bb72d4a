// Command minio puts and gets an object with github.com/minio/minio-go, against
// a server of its own on the loopback that keeps what it is sent.
package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// objects maps a path to its content.
type objects map[string][]byte

func (o objects) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=key/") {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if r.Method == http.MethodPut {
		o[r.URL.Path], _ = io.ReadAll(r.Body)
	}
	content := o[r.URL.Path]
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, md5.Sum(content)))
	if r.Method != http.MethodPut {
		w.Header().Set("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
		w.Write(content)
	}
}

func main() {
	server := httptest.NewServer(objects{})
	client, err := minio.New(strings.TrimPrefix(server.URL, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4("key", "secret", ""), Region: "test", BucketLookup: minio.BucketLookupPath,
		TrailingHeaders: false,
	})
	check(err)
	ctx := context.Background()
	data := bytes.Repeat([]byte("data "), 1000)
	_, err = client.PutObject(ctx, "bucket", "object", bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{DisableContentSha256: true})
	check(err)
	object, err := client.GetObject(ctx, "bucket", "object", minio.GetObjectOptions{})
	check(err)
	got, err := io.ReadAll(object)
	check(err)
	fmt.Println(len(got) >= len(data), bytes.Contains(got, data[:500]))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
