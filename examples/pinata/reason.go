package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// A reason is why nothing was handed out.
type reason int

const (
	tooSlow reason = iota
	wentAway
	notTLS
	oldTLS
	noCertificate
	strangersCertificate
	expiredCertificate
	wrongCertificate
	didNotAsk
	refusedUs
	saidTooMuch
	gaveWay
	tooOften
	notReached
	otherReason
	reasons // how many there are
)

var reasonNames = [reasons]string{
	"too slow", "went away", "not TLS", "older than TLS 1.3", "no certificate",
	"of another authority", "expired", "another bad certificate", "did not ask for ours",
	"refused us", "too many bytes", "gave way to others", "connected back too often",
	"not reached", "other",
}

// reasonOf sorts an error. What crypto/tls has no types for it sorts by words; that
// decides nothing but under which name an attempt is counted.
func reasonOf(err error) reason {
	for _, known := range []struct {
		err error
		why reason
	}{
		{errTooOften, tooOften}, {errTooMuch, saidTooMuch}, {errNotAsked, didNotAsk}, {errNoCertificate, noCertificate},
		{io.EOF, wentAway}, {io.ErrUnexpectedEOF, wentAway}, {syscall.ECONNRESET, wentAway}, {syscall.EPIPE, wentAway}, {net.ErrClosed, gaveWay},
	} {
		if errors.Is(err, known.err) {
			return known.why
		}
	}
	var op *net.OpError
	isOp := errors.As(err, &op)
	switch {
	case isOp && op.Op == "dial":
		return notReached
	case isTimeout(err):
		return tooSlow
	case isOp && op.Op == "remote error" && !strings.Contains(err.Error(), "protocol version"):
		return refusedUs
	}
	if why, ok := certificateReason(err); ok {
		return why
	}
	return wordsReason(err)
}

func certificateReason(err error) (reason, bool) {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var failed *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unknown):
		return strangersCertificate, true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return expiredCertificate, true
	case errors.As(err, &invalid), errors.As(err, &failed):
		return wrongCertificate, true
	}
	return 0, false
}

func wordsReason(err error) reason {
	text := err.Error()
	for _, w := range []struct {
		words string
		why   reason
	}{
		{"didn't provide a certificate", noCertificate},
		{"unsupported protocol version", oldTLS}, {"only unsupported versions", oldTLS}, {"protocol version not supported", oldTLS},
		{"certificate", wrongCertificate},
		{"does not look like a TLS handshake", notTLS}, {"tls: ", notTLS},
	} {
		if strings.Contains(text, w.words) {
			return w.why
		}
	}
	return otherReason
}
