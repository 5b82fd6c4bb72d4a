package main

import (
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// title is what is compiled in, for -ldflags '-X main.title=...'.
var title = "Guestbook"

// settings are what can be set in three ways; empty is not set.
type settings struct {
	Title string `json:"title"`
	Addr  string `json:"addr"`
}

func defaults(encrypted bool) settings {
	if encrypted {
		return settings{title, ":443"}
	}
	return settings{title, ":80"}
}

// over returns the settings of s, and those of base that s has not.
func (s settings) over(base settings) settings {
	return settings{cmp.Or(s.Title, base.Title), cmp.Or(s.Addr, base.Addr)}
}

// readSettings reads the file of settings; none is as an empty one.
func readSettings(conf string) (s settings, err error) {
	path := filepath.Join(conf, "guestbook.json")
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// readKey reads the TLS key and its certificate; nil if there is neither.
func readKey(conf string) (*tls.Certificate, error) {
	crt, key := filepath.Join(conf, "tls.crt"), filepath.Join(conf, "tls.key")
	_, err1 := os.Stat(crt)
	_, err2 := os.Stat(key)
	if errors.Is(err1, fs.ErrNotExist) && errors.Is(err2, fs.ErrNotExist) {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(crt, key)
	if err != nil {
		return nil, err
	}
	return &pair, nil
}
