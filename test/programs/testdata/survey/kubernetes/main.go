// Command kubernetes lists pods with k8s.io/client-go, from a server of its own
// on the loopback.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const pods = `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},` +
	`"items":[{"metadata":{"name":"web-1","namespace":"default"}}]}`

func main() {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/api/v1/namespaces/default/pods" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		io.WriteString(w, pods)
	}))
	config := &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		panic(err)
	}
	list, err := client.CoreV1().Pods("default").List(context.Background(), meta.ListOptions{})
	if err != nil {
		panic(err)
	}
	fmt.Println("pods:", list.Items[0].Name)
}
