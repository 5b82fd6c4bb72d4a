package programs

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/vmtest"
)

// TestWhoami: a small HTTP server that tells about each request.
func TestWhoami(t *testing.T) { each(t, testWhoami, "spt", "qemu-q35") }

func testWhoami(t *testing.T, on target) {
	const module = "github.com/traefik/whoami"
	pkg := upstream(t, module, "", "v1.11.0")
	t.Run("latest", func(t *testing.T) { vmtest.Image(t, on.build, upstream(t, module, "", "latest")) })
	g := on.boot(t, pkg, []string{"8080/tcp"}, "--port", "8080", "--name", "a guest")
	g.answersHTTP(g.url("/health"))

	var got struct {
		Hostname, Name, URL, Method string
		Headers                     map[string][]string
	}
	if err := json.Unmarshal([]byte(curl(t, "-H", "X-Test: yes", g.url("/api?n=1"))), &got); err != nil {
		t.Fatal(err)
	}
	if got.Hostname != "tailor" || got.Name != "a guest" || got.URL != "/api?n=1" || got.Method != "GET" ||
		len(got.Headers["X-Test"]) != 1 || got.Headers["X-Test"][0] != "yes" {
		t.Errorf("/api told %+v", got)
	}
	if text := curl(t, "-d", "a body", g.url("/path")); !strings.Contains(text, "POST /path HTTP/1.1") || !strings.Contains(text, "Name: a guest") {
		t.Errorf("a POST was told as %q", text)
	}
	if data := curl(t, g.url("/data?size=3&unit=MB")); len(data) != 3<<20 {
		t.Errorf("3 MB of data have %d bytes", len(data))
	}
	many := curl(t, "-Z", "--parallel-max", "50", g.url("/bench?n=[1-500]"))
	want(t, "500 requests, 50 at once", many, strings.Repeat("1", 500))
}

// TestPushgateway: metrics that are pushed, and scraped again.
func TestPushgateway(t *testing.T) { each(t, testPushgateway) }

func testPushgateway(t *testing.T, on target) {
	pkg := upstream(t, "github.com/prometheus/pushgateway", "", "v1.11.3")
	g := on.boot(t, pkg, []string{"8080/tcp"}, "--web.listen-address=:8080", "--web.enable-admin-api", "--persistence.file=/tmp/metrics")
	g.answersHTTP(g.url("/-/ready"))

	push := func(job, text string) {
		t.Helper()
		curl(t, "--data-binary", text, g.url("/metrics/job/"+job))
	}
	push("backup/instance/one", "# TYPE bytes_done counter\nbytes_done{disk=\"a\"} 12345\n")
	push("backup/instance/two", "# TYPE bytes_done counter\nbytes_done{disk=\"b\"} 678\n")
	scraped := curl(t, g.url("/metrics"))
	for _, line := range []string{
		`bytes_done{disk="a",instance="one",job="backup"} 12345`,
		`bytes_done{disk="b",instance="two",job="backup"} 678`,
	} {
		if !strings.Contains(scraped, "\n"+line+"\n") {
			t.Errorf("not scraped: %s", line)
		}
	}
	if !strings.Contains(scraped, "\ngo_goroutines ") || !strings.Contains(scraped, "pushgateway_http_requests_total") {
		t.Error("the gateway's own metrics are missing")
	}
	if page := curl(t, g.url("/")); !strings.Contains(page, "<title>Prometheus Pushgateway</title>") {
		t.Errorf("the page for people is %q", vmtest.Clip(page))
	}
	var api struct {
		Status string
		Data   []map[string]any
	}
	if err := json.Unmarshal([]byte(curl(t, g.url("/api/v1/metrics"))), &api); err != nil || api.Status != "success" || len(api.Data) != 2 {
		t.Errorf("the API tells %+v, %v", api, err)
	}
	curl(t, "-X", "DELETE", g.url("/metrics/job/backup/instance/one"))
	if left := curl(t, g.url("/metrics")); strings.Contains(left, `instance="one"`) || !strings.Contains(left, `instance="two"`) {
		t.Error("deleting one group did not delete that and no other")
	}
}

// TestWebSocketChat: gorilla's chat, with people who all hear each other.
func TestWebSocketChat(t *testing.T) { each(t, testWebSocketChat) }

func testWebSocketChat(t *testing.T, on target) {
	pkg := upstream(t, "github.com/gorilla/websocket", "/examples/chat", "v1.5.3")
	people := plain(t, local(t, "wsclient"))
	g := on.boot(t, pkg, []string{"8080/tcp"})
	g.answersHTTP(g.url("/"))
	t.Log(client(t, people, "ws://"+g.addrs["8080/tcp"]+"/ws", "8", "40"))
}
