package parameters

import (
	"os"
	"testing"
)

// The variable keeps what package disk reads, and nothing else.
func TestLeave(t *testing.T) {
	for text, want := range map[string]string{
		"metrics=:9 disk=a:/x%20y:ro disk=b:/z": "disk=a:/x%20y:ro disk=b:/z", "metrics=:9": "", `syslog-app="a b" disk=c:/x`: "disk=c:/x",
	} {
		t.Setenv(variable, text)
		leave(text)
		if got, there := os.LookupEnv(variable); got != want || there != (want != "") {
			t.Errorf("%s: left %q, %v", text, got, there)
		}
	}
}
