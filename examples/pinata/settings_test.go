package main

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What is nearer to the start counts more: flags, the first folder, the second,
// what is compiled in.
func TestComplete(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	ca := newIssuer(t).settings(t)
	conf := write(t, t.TempDir(), map[string]string{"secret": "of the folder", "ca.pem": ca.ca, "cert.pem": ca.cert, "key.pem": ca.key})
	near := write(t, t.TempDir(), map[string]string{"secret": "of /run/secrets"})
	for _, tt := range []struct {
		name    string
		given   settings
		folders []string
		want    settings
	}{
		{"compiled in", settings{}, []string{none}, settings{secret: secret}},
		{"a folder", settings{}, []string{none, conf}, settings{"of the folder", ca.ca, ca.cert, ca.key}},
		{"two folders", settings{}, []string{near, conf}, settings{"of /run/secrets", ca.ca, ca.cert, ca.key}},
		{"flags", settings{"of a flag", "-----BEGIN a", "-----BEGIN b", "-----BEGIN c"}, []string{near, conf}, settings{"of a flag", "-----BEGIN a", "-----BEGIN b", "-----BEGIN c"}},
		{"flags with files", settings{ca: filepath.Join(conf, "ca.pem")}, nil, settings{secret: secret, ca: ca.ca}},
	} {
		if got, err := tt.given.complete(tt.folders...); err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
	for name, s := range map[string]settings{
		"no such file: /nonexistent": {ca: "/nonexistent"},
		"4096 at most":               {secret: strings.Repeat("x", maxSecret+1)},
	} {
		_, word, found := strings.Cut(name, ": ")
		if !found {
			word = name
		}
		if _, err := s.complete(none); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := write(t, t.TempDir(), map[string]string{"secret": " \n"})
	if _, err := (settings{}).complete(bad); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("an empty secret: %v", err)
	}
}

func TestIdentity(t *testing.T) {
	now := time.Now()
	ca := newIssuer(t)
	good, other := ca.settings(t), newIssuer(t).settings(t)
	if _, err := good.identity(now); err != nil {
		t.Error(err)
	}
	for want, s := range map[string]settings{
		"there is no cert and no key":           {ca: good.ca},
		"there is no ca":                        {cert: good.cert, key: good.key},
		"ca: no certificate in PEM":             {ca: good.key, cert: good.cert, key: good.key},
		"cert and key: tls: private key does":   {ca: good.ca, cert: good.cert, key: other.key},
		"cert: x509: certificate signed by unk": {ca: other.ca, cert: good.cert, key: good.key},
		"cert and key: tls: failed to find any": {ca: good.ca, cert: "nonsense", key: good.key},
	} {
		if _, err := s.identity(now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := good.identity(now.AddDate(lifetime+1, 0, 0)); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("with a certificate that has expired: %v", err)
	}
}

// Two starts have nothing in common, and what a start makes signs nothing more.
func TestNewIdentity(t *testing.T) {
	now := time.Now()
	a, err := newIdentity(now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newIdentity(now)
	if err != nil {
		t.Fatal(err)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := a.verify([]*x509.Certificate{a.leaf.Leaf}, usage, now.AddDate(lifetime, 0, -1)); err != nil {
			t.Error(err)
		}
		if a.verify([]*x509.Certificate{b.leaf.Leaf}, usage, now) == nil {
			t.Error("one start's certificate is good for another")
		}
	}
	if a.verify(nil, x509.ExtKeyUsageAny, now) == nil {
		t.Error("no certificate is good")
	}
	if a.leaf.Leaf.IsCA || !a.isOwn(a.leaf.Leaf) || a.isOwn(b.leaf.Leaf) {
		t.Error("the program's own certificate is not what it should be")
	}
}
